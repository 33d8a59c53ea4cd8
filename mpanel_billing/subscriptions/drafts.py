"""Bring the latest draft for a term of a subscription to payment.

Stripe leaves the invoices of an unpaid subscription as drafts, and those of a collection that was
paused with keep_as_draft. It returns to `active` only when the latest of them is paid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Entry, Target
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.charges import finalize_invoice, pay_invoice
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.promise import preview_outdated


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice that can be collected, as Stripe has it; `amount` is due, in minor units."""

    stripe_invoice_id: str
    status: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class CollectedDraft:
    """The invoice at Stripe, and its status there afterwards."""

    stripe_invoice_id: str
    status: str


async def find_draft(mirror: Mirror, subscription_id: UUID) -> Draft:
    """Return the latest draft for a term; ConflictError if there is none; StripeError."""
    invoice = await _find(mirror, subscription_id)
    amount = invoice["amount_remaining"]
    return Draft(invoice["id"], invoice["status"], amount, invoice["currency"])


async def collect_draft(
    mirror: Mirror, subscription_id: UUID, by: Actor, *, shown: tuple[str, int] | None = None
) -> CollectedDraft:
    """Finalize and pay the latest draft for a term; repeating it continues where it stopped.

    ConflictError if there is nothing to collect, or not the invoice (in_...) and the amount that
    were `shown`; NotFoundError, PaymentFailedError, StripeError. Our rows follow before it returns.
    """
    held = await get_subscription(mirror, subscription_id, CustomerRef())
    invoice = await _find(mirror, subscription_id)
    if shown not in {None, (invoice["id"], invoice["amount_remaining"])}:
        raise preview_outdated()
    target = Target("subscription", str(subscription_id))
    details = {"invoice": invoice["id"], "status": invoice["status"]}
    async with audit.attempt(
        mirror.pool, by, "subscription.collect_draft", target, details
    ) as entry:
        await _collect(mirror, invoice, entry)
    after = await mirror.refresh("invoice", invoice["id"])
    if held.stripe_id is not None:
        await mirror.refresh("subscription", held.stripe_id)
    return CollectedDraft(invoice["id"], after["status"])


async def _collect(mirror: Mirror, invoice: Mapping[str, Any], entry: Entry) -> None:
    """Each step is done at most once by Stripe: an invoice is finalized and paid only once."""
    attempt = f"{invoice['id']}-{entry.id}"
    if invoice["status"] == "draft":
        status = await finalize_invoice(mirror.stripe, invoice["id"], f"finalize-{attempt}")
        if status == "paid":  # nothing was due
            return
    await pay_invoice(mirror.stripe, invoice["id"], f"pay-{attempt}")


async def _find(mirror: Mirror, subscription_id: UUID) -> Mapping[str, Any]:
    async with acquired(mirror.pool) as conn:
        invoice_id = await repository.invoices.find_draft(conn, subscription_id)
    invoice = await mirror.refresh("invoice", invoice_id) if invoice_id else None
    if invoice is None or invoice["status"] not in {"draft", "open"}:
        raise ConflictError("This subscription has no draft to collect.", code="no_draft")
    return invoice
