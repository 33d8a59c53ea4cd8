"""Which of a customer's Stripe customers is charged, billed or credited beside their subscriptions.

A customer may have several, one for each order placed without proof of identity (rule 11) and one
for each currency.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import NoCardError, NotFoundError, StripeObjectMissingError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.lookup import CustomerRef, require_customer, require_subscription


@dataclass(frozen=True, slots=True)
class PayerOf:
    """Whose Stripe customer it is: that of the subscription, if one is named, else the principal.

    It pays in `currency`.
    """

    named: CustomerRef
    currency: str
    subscription_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Payer:
    """A customer record, and one of its Stripe customers.

    `has_card`: Stripe has a default payment method of theirs; else only subscriptions have one.
    """

    customer_id: UUID
    stripe_customer_id: str
    has_card: bool


async def list_payers(
    mirror: Mirror, named: CustomerRef, subscription_id: UUID | None
) -> tuple[UUID, list[str]]:
    """Return the customer's id, and their Stripe customers that count, the most likely first.

    Of a subscription, only its own. NotFoundError for an unknown customer or subscription.
    """
    async with acquired(mirror.pool) as conn:
        customer_id = await _owner(conn, mirror, named, subscription_id)
        found = await repository.customers.list_stripe_customers(
            conn, customer_id, subscription_id, None, livemode=mirror.livemode
        )
    return customer_id, found


async def _owner(
    conn: Connection, mirror: Mirror, named: CustomerRef, subscription: UUID | None
) -> UUID:
    if subscription is None:
        return await require_customer(conn, named)
    held = await require_subscription(conn, mirror, subscription, named)
    if held.customer_id is None:
        raise NotFoundError("Customer not found.", code="unknown_customer")
    return held.customer_id


async def find_payer(mirror: Mirror, of: PayerOf) -> Payer:
    """Return the Stripe customer, refreshed from Stripe; the first invoice decides its currency.

    NotFoundError, StripeError.
    """
    customer_id, candidates = await list_payers(mirror, of.named, of.subscription_id)
    for stripe_id in candidates:
        found = await _refreshed(mirror, stripe_id)
        if found is not None and (found.get("currency") or of.currency) == of.currency:
            return Payer(customer_id, stripe_id, _has_card(found.get("invoice_settings") or {}))
    raise NotFoundError(
        f"This customer does not pay in {of.currency.upper()} through Stripe; to use the Stripe"
        " customer of a subscription, name it.",
        code="no_stripe_customer",
    )


async def _refreshed(mirror: Mirror, stripe_id: str) -> Mapping[str, Any] | None:
    """Return a Stripe customer as they are now; None if they are deleted, or of another account."""
    try:
        found = await mirror.refresh("customer", stripe_id)
    except StripeObjectMissingError:
        return None
    return None if found.get("deleted") else found


async def find_card(mirror: Mirror, invoice: Mapping[str, Any], customer_id: UUID) -> str | None:
    """Return the card to charge for an invoice of Stripe's; None: Stripe knows which one.

    Checkout saves a card for the subscription only, not for the customer's other invoices.
    NoCardError if there is none.
    """
    if (invoice.get("parent") or {}).get("subscription_details") or _has_card(invoice):
        return None
    payer = await mirror.refresh("customer", invoice["customer"])
    if _has_card(payer.get("invoice_settings") or {}) or payer.get("default_source"):
        return None
    async with acquired(mirror.pool) as conn:
        running = await repository.customers.find_running(conn, customer_id, invoice["customer"])
    fields = await mirror.refresh("subscription", running) if running else {}
    card: str | None = fields.get("default_payment_method")
    if card is None:
        raise NoCardError
    return card


def _has_card(of: Mapping[str, Any]) -> bool:
    return bool(of.get("default_payment_method") or of.get("default_source"))
