"""The invoices of the running term that are not paid yet: they are paid before a change.

Stripe credits the time that an open invoice or a draft is for as if it were paid, and takes the
subscription for paid as soon as a later invoice is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mpanel_billing import money
from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.errors import ConflictError, PaymentFailedError, StripeError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.billed import BilledInvoice, get_payment_state
from mpanel_billing.stripe_gateway.charges import finalize_invoice, pay_invoice
from mpanel_billing.subscriptions.records import Subscription


@dataclass(frozen=True, slots=True)
class Unpaid:
    """What is to be paid of the running term, in minor units of `currency`."""

    invoices: tuple[BilledInvoice, ...]
    amount: int
    currency: str
    is_processing: bool


async def find_unpaid(
    mirror: Mirror, held: Subscription, billed: Sequence[BilledInvoice]
) -> Unpaid | None:
    """Return what is unpaid of the running term, oldest first; None if nothing is. StripeError."""
    unpaid = [one for one in reversed(billed) if one.is_unpaid and _is_of_running_term(one, held)]
    if not unpaid:
        return None
    intents = [intent for one in unpaid for intent in one.payment_intents]
    states = [await get_payment_state(mirror.stripe, intent) for intent in intents]
    return Unpaid(
        invoices=tuple(unpaid),
        amount=sum(one.amount_remaining for one in unpaid),
        currency=held.currency,
        is_processing=any(state.is_processing for state in states),
    )


def _is_of_running_term(invoice: BilledInvoice, held: Subscription) -> bool:
    start = held.current_period_start
    return any(start is None or line.end > start for line in invoice.lines)


def refuse_unpaid(unpaid: Unpaid, *, pay_first: bool | None = None) -> None:
    """Raise ConflictError: the payment is under way, or is not to be made first.

    `pay_first` is None for a request that cannot have it paid.
    """
    amount = money.format_money(unpaid.amount, unpaid.currency)
    if unpaid.is_processing:
        raise ConflictError(
            f"A payment of {amount} for the running term is under way. Please wait until it is"
            " settled.",
            code="payment_processing",
        )
    if pay_first is None:
        raise ConflictError(
            f"{amount} of the running term is not paid yet. Have the invoice paid first; cancelling"
            " is possible without.",
            code="unpaid_invoice",
        )
    if not pay_first:
        raise ConflictError(
            f"{amount} of the running term is not paid yet. Send payFirst to have it charged"
            " before the change. Cancelling is possible without.",
            code="unpaid_invoice",
            fields={"payFirst": f"must be true: {unpaid.amount} {unpaid.currency} is unpaid"},
        )


async def pay(mirror: Mirror, by: Actor, held: Subscription, unpaid: Unpaid) -> None:
    """Finalize and pay the invoices, and follow; PaymentFailedError, StripeError.

    An invoice keeps Stripe's retries if it is declined: it is owed, whatever becomes of the change.
    """
    for invoice in unpaid.invoices:
        target = Target("subscription", str(held.id))
        details = {"invoice": invoice.id, "amount": invoice.amount_remaining}
        async with audit.attempt(
            mirror.pool, by, "subscription.pay_invoice", target, details
        ) as entry:
            await _pay(mirror, invoice, f"{invoice.id}-{entry.id}")
    await mirror.refresh("subscription", held.stripe_id or "")


async def _pay(mirror: Mirror, invoice: BilledInvoice, attempt: str) -> None:
    try:
        if invoice.status == "draft":
            await finalize_invoice(
                mirror.stripe, invoice.id, f"finalize-{attempt}", keeps_collecting=True
            )
        if (await mirror.refresh("invoice", invoice.id))["status"] != "paid":
            await pay_invoice(mirror.stripe, invoice.id, f"pay-{attempt}")
    except PaymentFailedError:
        await mirror.refresh("invoice", invoice.id)
        raise
    except StripeError:
        # another request, or Stripe itself, may have paid it in the same moment
        if (await mirror.refresh("invoice", invoice.id))["status"] != "paid":
            raise
    else:
        await mirror.refresh("invoice", invoice.id)
