"""Show what was billed."""

from collections.abc import Sequence
from uuid import UUID

from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import NotFoundError
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.customers import Named, may_reach, require_customer
from mpanel_billing.subscriptions.desk import ServiceDesk
from mpanel_billing.subscriptions.holdings import Invoice
from mpanel_billing.subscriptions.paging import Span
from mpanel_billing.subscriptions.subscriptions import require_subscription


async def list_invoices(
    desk: ServiceDesk, named: Named, subscription_id: UUID | None, span: Span
) -> Sequence[Invoice]:
    """Return the invoices of a subscription, or else of a customer, the newest first.

    NotFoundError when there is no such subscription or customer, or it is not his.
    """
    async with acquired(desk.pool) as conn:
        if subscription_id:
            found = await require_subscription(conn, desk, subscription_id, named)
            return await repository.list_invoices_of_subscription(
                conn, found.id, span, livemode=desk.livemode
            )
        customer_id = await require_customer(conn, named)
        return await repository.list_invoices_of_customer(
            conn, customer_id, span, livemode=desk.livemode
        )


async def require_invoice(
    conn: Connection, desk: ServiceDesk, invoice_id: UUID, named: Named
) -> Invoice:
    """Return an invoice of Stripe's in our mode; NotFoundError as for subscriptions."""
    found = await repository.load_invoices(conn, [invoice_id], livemode=desk.livemode)
    if not found or not await may_reach(conn, named, found[0].customer_id):
        raise NotFoundError("We know no such invoice.", code="unknown_invoice")
    return found[0]
