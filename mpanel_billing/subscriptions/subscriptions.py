"""Show a customer's subscriptions."""

from collections.abc import Sequence
from uuid import UUID

from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import NotFoundError
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.customers import Named, may_reach, require_customer
from mpanel_billing.subscriptions.desk import ServiceDesk
from mpanel_billing.subscriptions.holdings import Subscription
from mpanel_billing.subscriptions.paging import Span


async def list_subscriptions(desk: ServiceDesk, named: Named, span: Span) -> Sequence[Subscription]:
    """Return what a customer has subscribed to, the newest first; orders never paid are left out.

    NotFoundError when we know no such customer.
    """
    async with acquired(desk.pool) as conn:
        customer_id = await require_customer(conn, named)
        return await repository.list_subscriptions(conn, customer_id, span, livemode=desk.livemode)


async def get_subscription(desk: ServiceDesk, subscription_id: UUID, named: Named) -> Subscription:
    """Return a subscription that Stripe bills; NotFoundError as `require_subscription` has it."""
    async with acquired(desk.pool) as conn:
        return await require_subscription(conn, desk, subscription_id, named)


async def require_subscription(
    conn: Connection, desk: ServiceDesk, subscription_id: UUID, named: Named
) -> Subscription:
    """Return a subscription that Stripe bills in our mode.

    NotFoundError for any other, and for one that is not of the customer who is named, if one is:
    whether it exists is nothing that he has to know.
    """
    found = await repository.load_subscriptions(conn, [subscription_id], livemode=desk.livemode)
    if not found or not await may_reach(conn, named, found[0].customer_id):
        raise NotFoundError("We know no such subscription.", code="unknown_subscription")
    return found[0]
