"""Preview what a plan change would cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import StripeError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.subscriptions import (
    NO_UPCOMING_INVOICE,
    Preview,
    preview_change,
)
from mpanel_billing.subscriptions.lifecycle import (
    ChangeRequest,
    change_details,
    refresh,
    require_changeable,
)
from mpanel_billing.subscriptions.plan_change import PlanChange, PlanRequest, Proration, plan_change
from mpanel_billing.subscriptions.records import Subscription


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount in minor units, and when it is charged."""

    amount: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """The cost of a change; amounts are in minor units of `currency`.

    `due_now` is charged immediately (after the customer's credit balance), `credited` is added to
    that balance instead. `invoice` has the lines of the next invoice affected: the immediate one,
    if there is one. `next` is the charge after that (before discounts if a new term starts now),
    None if the subscription is set to end. `at` is the time, by Stripe's clock, for which the
    amounts hold: passed to the change, they stay the same; None if nothing is prorated.
    """

    changes: bool
    currency: str
    due_now: int
    credited: int
    invoice: Preview | None
    next: Charge | None
    recurring: int
    at: datetime | None


async def preview_plan_change(
    mirror: Mirror, request: ChangeRequest, plan: PlanRequest, proration: Proration
) -> ChangePreview:
    """Ask Stripe what the change would cost; raises as `change_plan`, except for payments."""
    await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        held = await require_changeable(conn, mirror, request)
        change = plan_change(held, plan, await load_catalogue(conn, livemode=mirror.livemode))
    invoice = await _next_invoice(mirror, held, change, proration) if change.items else None
    if invoice is None:
        return _uncharged(held, change)
    bills_now = _bills_now(held, change, proration)
    credited = max(-invoice.total, 0) if bills_now else 0
    if not held.next_charge_at:
        following = None
    elif bills_now:
        following = await _charge_after(mirror, held, change, invoice)
    else:
        following = Charge(invoice.amount_due, held.next_charge_at)
    return ChangePreview(
        changes=True,
        currency=invoice.currency,
        due_now=invoice.amount_due if bills_now else 0,
        credited=credited,
        invoice=invoice,
        next=following,
        recurring=change.recurring,
        at=invoice.proration_date,
    )


async def _next_invoice(
    mirror: Mirror, held: Subscription, change: PlanChange, proration: Proration
) -> Preview | None:
    """Return the invoice that the change leads to; None if the subscription ends before it."""
    try:
        return await _preview(mirror, held, change, proration, change.setup_prices)
    except StripeError as error:
        if error.stripe_code != NO_UPCOMING_INVOICE:
            raise
        return None


def _uncharged(held: Subscription, change: PlanChange) -> ChangePreview:
    at = held.next_charge_at
    return ChangePreview(
        changes=bool(change.items),
        currency=held.currency,
        due_now=0,
        credited=0,
        invoice=None,
        next=Charge(change.recurring, at) if at else None,
        recurring=change.recurring,
        at=None,
    )


def _bills_now(held: Subscription, change: PlanChange, proration: Proration) -> bool:
    """Return whether the change is invoiced now: always for a new term, never in a trial."""
    if held.stripe_status == "trialing":
        return change.ends_trial
    return change.begins_new_term or proration == "always_invoice"


async def _charge_after(
    mirror: Mirror, held: Subscription, change: PlanChange, now: Preview
) -> Charge:
    """Return the charge after an immediate invoice, at the end of the term that begins or runs."""
    if change.begins_new_term or change.ends_trial:
        ends = [line.period_end for line in now.lines if not line.proration]
        return Charge(change.recurring, max(ends, default=None))
    later = await _preview(mirror, held, change, "none")
    credited = max(-now.total, 0)
    return Charge(max(later.amount_due - credited, 0), held.next_charge_at)


async def _preview(
    mirror: Mirror,
    held: Subscription,
    change: PlanChange,
    proration: Proration,
    one_time_prices: Sequence[str] = (),
) -> Preview:
    details = change_details(change, proration)
    return await preview_change(mirror.stripe, held.stripe_id or "", details, one_time_prices)
