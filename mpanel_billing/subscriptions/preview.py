"""Tell what a change of plan would cost, without making it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import StripeError
from mpanel_billing.stripe_gateway.subscriptions import (
    NO_INVOICE_TO_COME,
    Preview,
    preview_change,
)
from mpanel_billing.subscriptions.desk import ServiceDesk
from mpanel_billing.subscriptions.holdings import Subscription
from mpanel_billing.subscriptions.lifecycle import (
    Request,
    change_details,
    refresh,
    require_changeable,
)
from mpanel_billing.subscriptions.plan_change import PlannedChange, PlanWish, Proration, plan_change


@dataclass(frozen=True, slots=True)
class Charge:
    """A sum of minor units, and when it is charged."""

    amount: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """What a change would come to; sums are minor units of `currency`.

    `due_now` is charged at once (after what the customer has to his credit), `credited` is
    what he gets to his credit instead. `invoice` has the lines of the next invoice that the change
    touches: the one made at once, if there is one. `next` is the charge after that (before
    discounts where a new term begins now), None where the subscription is going to end. `at` is the
    moment, by Stripe's clock, that the sums are true for: handed to the change, they stay true;
    None where nothing is weighed by time.
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
    desk: ServiceDesk, request: Request, wish: PlanWish, proration: Proration
) -> ChangePreview:
    """Ask Stripe what the change would cost; raises what `change_plan` does but for payments."""
    await refresh(desk, request)
    async with acquired(desk.pool) as conn:
        held = await require_changeable(conn, desk, request)
        change = plan_change(held, wish, await load_catalogue(conn, livemode=desk.livemode))
    invoice = await _next_invoice(desk, held, change, proration) if change.items else None
    if invoice is None:
        return _uncharged(held, change)
    bills_now = _bills_now(held, change, proration)
    credited = max(-invoice.total, 0) if bills_now else 0
    if not held.next_charge_at:
        following = None
    elif bills_now:
        following = await _charge_after(desk, held, change, invoice)
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
    desk: ServiceDesk, held: Subscription, change: PlannedChange, proration: Proration
) -> Preview | None:
    """Return the invoice that the change leads to; None where the subscription ends before it."""
    try:
        return await _ask(desk, held, change, proration, change.setup_prices)
    except StripeError as error:
        if error.stripe_code != NO_INVOICE_TO_COME:
            raise
        return None


def _uncharged(held: Subscription, change: PlannedChange) -> ChangePreview:
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


def _bills_now(held: Subscription, change: PlannedChange, proration: Proration) -> bool:
    """Tell whether there is an invoice at once: for a new term always, in a trial never."""
    if held.stripe_status == "trialing":
        return change.ends_trial
    return change.begins_new_term or proration == "always_invoice"


async def _charge_after(
    desk: ServiceDesk, held: Subscription, change: PlannedChange, now: Preview
) -> Charge:
    """Return what is charged after an invoice made at once: with the term that ends first."""
    if change.begins_new_term or change.ends_trial:
        ends = [line.period_end for line in now.lines if not line.proration]
        return Charge(change.recurring, max(ends, default=None))
    later = await _ask(desk, held, change, "none")
    credited = max(-now.total, 0)
    return Charge(max(later.amount_due - credited, 0), held.next_charge_at)


async def _ask(
    desk: ServiceDesk,
    held: Subscription,
    change: PlannedChange,
    proration: Proration,
    one_time_prices: Sequence[str] = (),
) -> Preview:
    details = change_details(change, proration)
    return await preview_change(desk.gateway, held.stripe_id or "", details, one_time_prices)
