"""Ask Stripe what was given back of a subscription's payments, and correct a change's credit."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.money import floor_to_step
from mpanel_billing.stripe_gateway.billed import (
    BilledInvoice,
    get_credited,
    get_disputed,
    get_payment_state,
)
from mpanel_billing.stripe_gateway.subscriptions import Preview, PreviewLine
from mpanel_billing.subscriptions.kept import unearned_credit
from mpanel_billing.subscriptions.preview import ChangePreview, Correction


async def find_correction(
    mirror: Mirror, preview: ChangePreview, billed: Sequence[BilledInvoice]
) -> Correction | None:
    """Return what has to be charged with the change; None if its credit was paid and kept.

    Stripe is asked only if the change credits something; StripeError.
    """
    invoice, at = preview.invoice, preview.at
    if invoice is None or at is None:
        return None
    credited = [one for one in _new_credits(invoice) if one.product]
    if not credited:
        return None
    running = [one for one in billed if any(line.end > at for line in one.lines)]
    returned = {one.id: await _given_back(mirror, one) for one in running}
    amount = floor_to_step(unearned_credit(invoice, billed, returned), invoice.currency)
    if amount == 0:
        return None
    largest = min(credited, key=lambda line: line.amount)
    end = max(line.period_end for line in credited)
    return Correction(
        amount, invoice.currency, largest.product or "", at, end, largest.tax_behavior
    )


async def list_given_back(
    mirror: Mirror, billed: Sequence[BilledInvoice], since: datetime | None
) -> Mapping[str, int]:
    """Return what was given back of each invoice that is for a time after `since`; StripeError."""
    running = [
        one for one in billed if since is None or any(line.end > since for line in one.lines)
    ]
    return {one.id: await _given_back(mirror, one) for one in running}


def _new_credits(invoice: Preview) -> list[PreviewLine]:
    at = invoice.proration_date
    return [
        line
        for line in invoice.lines
        if at and line.proration and line.amount < 0 and line.period_start >= at
    ]


async def _given_back(mirror: Mirror, invoice: BilledInvoice) -> int:
    """Return what was refunded, credited or disputed of an invoice, in minor units."""
    total = await get_credited(mirror.stripe, invoice.id) if invoice.has_credit_notes else 0
    for intent in invoice.payment_intents:
        state = await get_payment_state(mirror.stripe, intent)
        total += state.refunded
        if state.is_disputed:
            total += await get_disputed(mirror.stripe, intent)
    return total
