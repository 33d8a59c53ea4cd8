"""Preview what a plan change would cost, by asking Stripe."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mpanel_billing.errors import StripeError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.billed import CORRECTION
from mpanel_billing.stripe_gateway.subscriptions import (
    NO_UPCOMING_INVOICE,
    Preview,
    preview_change,
)
from mpanel_billing.subscriptions.item_changes import PlanChange, Proration
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.timing import end_of_term


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount in minor units, and when it is charged."""

    amount: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Correction:
    """What is charged because Stripe credits more than was paid and kept; minor units.

    It is for the time from `start` to `end`, of a product at Stripe, and taxed as that was.
    """

    amount: int
    currency: str
    product: str
    start: datetime
    end: datetime
    tax_behavior: str | None = None

    def previewed(self) -> dict[str, Any]:
        """Return the item of a preview's `invoice_items`."""
        return self._item({"start": _unix(self.start), "end": _unix(self.end)})

    def charged(self) -> dict[str, Any]:
        """Return the item of an update's `add_invoice_items`."""
        bounds = {"start": self.start, "end": self.end}
        period = {
            name: {"type": "timestamp", "timestamp": _unix(moment)}
            for name, moment in bounds.items()
        }
        return self._item(period)

    def _item(self, period: dict[str, Any]) -> dict[str, Any]:
        price: dict[str, Any] = {
            "currency": self.currency,
            "product": self.product,
            "unit_amount": self.amount,
        }
        if self.tax_behavior:
            price["tax_behavior"] = self.tax_behavior
        return {
            "price_data": price,
            "discountable": False,
            "period": period,
            "metadata": {CORRECTION: str(self.amount)},
        }


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """The cost of a change; amounts are in minor units of `currency`.

    `effective_at` is the end of the term at which it is made; None: now.

    `due_now` is charged immediately (after the customer's credit balance), `credited` is added to
    that balance instead. `invoice` has the lines of the next invoice affected: the immediate one,
    if there is one. `next` is the charge after that (before discounts if a new term starts now);
    None if nothing more is charged because the subscription is set to end. `at` is the time, by
    Stripe's clock, for which the amounts hold: passed to the change, they stay the same; None if
    nothing is prorated. `correction` is charged so that the credit is what was paid and kept.
    `ends_trial`: the new plan has no trial, and the one that runs is over.
    """

    changes: bool
    currency: str
    due_now: int
    credited: int
    invoice: Preview | None
    next: Charge | None
    recurring: int
    at: datetime | None
    correction: Correction | None = None
    effective_at: datetime | None = None
    ends_trial: bool = False


@dataclass(frozen=True, slots=True)
class _Question:
    """A change, how it is prorated, and the time for which Stripe is asked (None: now)."""

    mirror: Mirror
    held: Subscription
    change: PlanChange
    proration: Proration
    at: datetime | None
    correction: Correction | None

    async def ask(self, proration: Proration, *, only_later: bool = False) -> Preview:
        """Return the next invoice after the change; `only_later`: without what it charges once."""
        details = change_details(self.change, proration, self.at)
        once = [] if only_later else [{"price": price} for price in self.change.setup_prices]
        if self.correction and not only_later:
            once.append(self.correction.previewed())
        return await preview_change(self.mirror.stripe, self.held.stripe_id or "", details, once)


def change_details(change: PlanChange, proration: Proration, at: datetime | None) -> dict[str, Any]:
    """Return the params that a change and its preview share."""
    details: dict[str, Any] = {"items": list(change.items), "proration_behavior": proration}
    if change.ends_trial:
        details["trial_end"] = "now"
    if at and proration != "none":
        details["proration_date"] = int(at.timestamp())
    return details


async def ask_stripe(
    mirror: Mirror,
    held: Subscription,
    change: PlanChange,
    proration: Proration,
    *,
    at: datetime | None = None,
    correction: Correction | None = None,
) -> ChangePreview:
    """Return what the change costs if it is made at a time of Stripe's clock (None: now).

    StripeError, also for a time outside the current period.
    """
    if not change.items:
        return _unaffected(held, change)
    question = _Question(mirror, held, change, proration, at, correction)
    if change.waits:
        return await _later(question)
    invoice = await _next_invoice(question)
    if invoice is None:
        return await _at_the_end(question)
    bills_now = _bills_now(question)
    return ChangePreview(
        changes=True,
        currency=invoice.currency,
        due_now=invoice.amount_due if bills_now else 0,
        credited=max(-invoice.total, 0) if bills_now else 0,
        invoice=invoice,
        next=await _following(question, invoice) if bills_now else _renewal(question, invoice),
        recurring=change.recurring,
        at=invoice.proration_date,
        correction=correction,
        ends_trial=change.ends_trial,
    )


async def _later(question: _Question) -> ChangePreview:
    """Return the cost of a change at the end of the term, when nothing is prorated.

    Stripe is asked for the next invoice with the new items. One for another term would be due now
    by its dates, but has the same lines.
    """
    held, change = question.held, question.change
    invoice = await question.ask("none")
    effective_at = end_of_term(held)
    if change.begins_new_term:
        invoice = _moved(invoice, effective_at)
    return ChangePreview(
        changes=True,
        currency=invoice.currency,
        due_now=0,
        credited=0,
        invoice=invoice,
        next=Charge(invoice.amount_due, effective_at),
        recurring=change.recurring,
        at=None,
        effective_at=effective_at,
    )


def _moved(invoice: Preview, start: datetime) -> Preview:
    """Return the invoice with the lines of its new term from then on."""
    begins = min((one.period_start for one in invoice.lines), default=start)
    lines = tuple(
        replace(
            line,
            period_start=line.period_start + (start - begins),
            period_end=line.period_end + (start - begins),
        )
        for line in invoice.lines
    )
    return replace(invoice, lines=lines)


async def _next_invoice(question: _Question) -> Preview | None:
    """Return the invoice that the change leads to; None if the subscription ends before it."""
    try:
        return await question.ask(question.proration)
    except StripeError as error:
        if error.stripe_code != NO_UPCOMING_INVOICE:
            raise
        return None


def _unaffected(held: Subscription, change: PlanChange) -> ChangePreview:
    at = held.next_charge_at
    return ChangePreview(
        changes=False,
        currency=held.currency,
        due_now=0,
        credited=0,
        invoice=None,
        next=Charge(change.recurring, at) if at else None,
        recurring=change.recurring,
        at=None,
    )


async def _at_the_end(question: _Question) -> ChangePreview:
    """Return the cost of a change that is not billed before the subscription ends.

    What it leaves for the next invoice is billed at the end nevertheless. Stripe previews no such
    invoice, so it is asked for the one that would be due now.
    """
    held, change = question.held, question.change
    left = await question.ask("always_invoice")
    amount = left.amount_due
    if question.proration == "none":
        amount = sum(line.amount for line in left.lines if not line.proration)
    return ChangePreview(
        changes=True,
        currency=held.currency,
        due_now=0,
        credited=0,
        invoice=None if question.proration == "none" else left,
        next=Charge(amount, held.cancel_at or held.current_period_end) if amount else None,
        recurring=change.recurring,
        at=None if question.proration == "none" else left.proration_date,
        correction=question.correction,
        ends_trial=change.ends_trial,
    )


def _bills_now(question: _Question) -> bool:
    """Return whether the change is invoiced now: always for a new term, never in a trial."""
    if question.held.stripe_status == "trialing":
        return question.change.ends_trial
    return question.change.begins_new_term or question.proration == "always_invoice"


def _renewal(question: _Question, invoice: Preview) -> Charge | None:
    at = question.held.next_charge_at
    return Charge(invoice.amount_due, at) if at else None


async def _following(question: _Question, now: Preview) -> Charge | None:
    """Return the charge after an immediate invoice, at the end of the term that begins or runs.

    It takes what that invoice leaves of the customer's balance.
    """
    held, change = question.held, question.change
    if not held.next_charge_at:
        return None
    if change.begins_new_term or change.ends_trial:
        ends = [line.period_end for line in now.lines if not line.proration]
        return Charge(change.recurring, max(ends, default=None))
    later = await question.ask("none", only_later=True)
    balance = now.balance + now.total - now.amount_due
    return Charge(max(later.total + balance, 0), held.next_charge_at)
