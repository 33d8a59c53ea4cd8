"""Let a customer into Stripe's portal: cards, addresses, receipts."""

from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.actor import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import NotFoundError, StripeObjectMissingError
from mpanel_billing.stripe_gateway.portal import open_portal
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.customers import Named, require_customer
from mpanel_billing.subscriptions.desk import ServiceDesk
from mpanel_billing.subscriptions.subscriptions import require_subscription


async def open_portal_session(
    desk: ServiceDesk, by: Actor, named: Named, subscription_id: UUID | None, return_url: str
) -> str:
    """Return an address that lets the customer in without a further question, for some minutes.

    A customer of our books may have several Stripe customers, one for each order that he made
    unknown (rule 11), and the portal shows one. Which: that of the subscription, where one is
    named; else his principal one; else the one of his latest subscription. NotFoundError when we
    know no such customer, or he has nothing at Stripe.
    """
    async with acquired(desk.pool) as conn:
        customer_id = await require_customer(conn, named)
        if subscription_id:
            await require_subscription(conn, desk, subscription_id, Named(customer_id))
        candidates = await repository.list_stripe_customers(
            conn, customer_id, subscription_id, livemode=desk.livemode
        )
    target = audit.Target("customer", str(customer_id))
    async with audit.attempt(desk.pool, by, "customer.portal", target) as entry:
        for stripe_customer_id in candidates:
            try:
                url = await open_portal(desk.gateway, stripe_customer_id, return_url)
            except StripeObjectMissingError:  # deleted there, or of another account
                continue
            entry.note(stripeCustomerId=stripe_customer_id)
            return url
        raise NotFoundError(
            "This customer has bought nothing through Stripe yet.", code="no_stripe_customer"
        )
