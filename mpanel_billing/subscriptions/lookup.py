"""Find customers, and their subscriptions and invoices.

mPanel's backend names the customer that a request is about; nothing of anyone else's is found.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.invoices import find_by_number
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.invoice_records import Invoice
from mpanel_billing.subscriptions.paging import Span
from mpanel_billing.subscriptions.records import Balance, Subscription


@dataclass(frozen=True, slots=True)
class CustomerRef:
    """The customer that a request names; if it gives several references, all must match.

    `customer_id` is our `customers.id`, `user_id` mPanel's `users.id`.
    """

    customer_id: UUID | None = None
    user_id: UUID | None = None
    email: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no customer is named."""
        return self.customer_id is None and self.user_id is None and self.email is None


async def require_customer(conn: Connection, named: CustomerRef) -> UUID:
    """Return the customer's id; NotFoundError if no customer matches all references."""
    found = await repository.customers.find_customer(
        conn, named.customer_id, named.user_id, named.email
    )
    if found is None:
        raise NotFoundError("Customer not found.", code="unknown_customer")
    return found


async def may_reach(conn: Connection, named: CustomerRef, owner_id: UUID | None) -> bool:
    """Return whether a request may access what `owner_id` owns (None: no customer yet).

    A request that names no customer is the backend's own, and may access everything.
    """
    if named.is_empty:
        return True
    found = await repository.customers.find_customer(
        conn, named.customer_id, named.user_id, named.email
    )
    return found is not None and found == owner_id


async def list_subscriptions(
    mirror: Mirror, named: CustomerRef, span: Span
) -> Sequence[Subscription]:
    """Return a customer's subscriptions, newest first, without orders that were never paid.

    NotFoundError for an unknown customer.
    """
    async with acquired(mirror.pool) as conn:
        customer_id = await require_customer(conn, named)
        return await repository.subscriptions.list_subscriptions(
            conn, customer_id, span, livemode=mirror.livemode
        )


async def get_subscription(
    mirror: Mirror, subscription_id: UUID, named: CustomerRef
) -> Subscription:
    """Return a subscription that Stripe bills; NotFoundError as in `require_subscription`."""
    async with acquired(mirror.pool) as conn:
        return await require_subscription(conn, mirror, subscription_id, named)


async def require_subscription(
    conn: Connection, mirror: Mirror, subscription_id: UUID, named: CustomerRef
) -> Subscription:
    """Return a subscription that Stripe bills in our mode.

    NotFoundError for any other, and also for another customer's if a customer is named: they must
    not learn that it exists.
    """
    found = await repository.subscriptions.load_subscriptions(
        conn, [subscription_id], livemode=mirror.livemode
    )
    if not found or not await may_reach(conn, named, found[0].customer_id):
        raise NotFoundError("Subscription not found.", code="unknown_subscription")
    return found[0]


async def list_invoices(
    mirror: Mirror,
    named: CustomerRef,
    subscription_id: UUID | None,
    span: Span,
    status: str | None = None,
) -> Sequence[Invoice]:
    """Return the invoices of a subscription, or else of a customer, newest first.

    Those of Stripe's `status`; None: all but drafts.

    NotFoundError for an unknown subscription or customer, or another customer's subscription.
    """
    async with acquired(mirror.pool) as conn:
        if subscription_id:
            found = await require_subscription(conn, mirror, subscription_id, named)
            return await repository.invoices.list_invoices_of_subscription(
                conn, found.id, span, livemode=mirror.livemode, status=status
            )
        customer_id = await require_customer(conn, named)
        return await repository.invoices.list_invoices_of_customer(
            conn, customer_id, span, livemode=mirror.livemode, status=status
        )


async def list_balances(
    mirror: Mirror, named: CustomerRef, subscription_id: UUID | None = None
) -> Sequence[Balance]:
    """Return what Stripe applies to the next invoices of a customer, or of a subscription's.

    NotFoundError as in `list_invoices`.
    """
    async with acquired(mirror.pool) as conn:
        if subscription_id:
            found = await require_subscription(conn, mirror, subscription_id, named)
            customer_id = found.customer_id
        else:
            customer_id = await require_customer(conn, named)
        if customer_id is None:
            return ()
        return await repository.customers.list_balances(conn, customer_id, livemode=mirror.livemode)


async def find_subscription_of(mirror: Mirror, invoice: Invoice) -> Subscription | None:
    """Return the subscription that an invoice is for; None: for none, or one that is not shown."""
    if invoice.subscription_id is None:
        return None
    with suppress(NotFoundError):
        return await get_subscription(mirror, invoice.subscription_id, CustomerRef())
    return None


async def get_invoice(
    mirror: Mirror, invoice_id: UUID, named: CustomerRef, *, or_deleted: bool = False
) -> Invoice:
    """Return a Stripe invoice; NotFoundError as in `require_invoice`."""
    async with acquired(mirror.pool) as conn:
        return await require_invoice(conn, mirror, invoice_id, named, or_deleted=or_deleted)


async def find_invoice(mirror: Mirror, name: str) -> UUID:
    """Return the id of an invoice by our id, Stripe's, or its number, for which Stripe is asked.

    NotFoundError, StripeError; ConflictError for a number that several have.
    """
    name = name.strip()
    found = await _find_by_id(mirror, name)
    if found is None:
        numbered = await find_by_number(mirror.stripe, name)
        if len(numbered) > 1:
            raise ConflictError(
                "Several invoices have this number: name one by its id.", code="ambiguous_invoice"
            )
        found = await _find_by_id(mirror, numbered[0]) if numbered else None
    if found is None:
        raise NotFoundError("Invoice not found.", code="unknown_invoice")
    return found


async def _find_by_id(mirror: Mirror, name: str) -> UUID | None:
    async with acquired(mirror.pool) as conn:
        return await repository.invoices.find_invoice(conn, name, livemode=mirror.livemode)


async def require_invoice(
    conn: Connection,
    mirror: Mirror,
    invoice_id: UUID,
    named: CustomerRef,
    *,
    or_deleted: bool = False,
) -> Invoice:
    """Return a Stripe invoice in our mode; NotFoundError as for subscriptions.

    A draft that was deleted at Stripe is not found either, unless `or_deleted`.
    """
    found = await repository.invoices.load_invoices(conn, [invoice_id], livemode=mirror.livemode)
    if found and found[0].stripe_status == "deleted" and not or_deleted:
        found = []
    if not found or not await may_reach(conn, named, found[0].customer_id):
        raise NotFoundError("Invoice not found.", code="unknown_invoice")
    return found[0]
