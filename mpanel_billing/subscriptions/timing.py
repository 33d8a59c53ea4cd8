"""When a plan change takes effect: pure functions.

More begins at once, less at the end of what is paid for: a shorter term, a plan that costs less, or
fewer add-ons. What cannot wait begins at once, too: a change in a trial, or one with a setup fee.
"""

from datetime import datetime
from typing import Literal, NamedTuple

from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.subscriptions.records import Item, Subscription

When = Literal["now", "period_end"]


def waits(
    held: Subscription,
    plan_code: str,
    billing_cycle: str,
    recurring: int,
    catalogue: Catalogue,
    *,
    quantity: int,
    has_setup_fee: bool,
    when: When | None,
) -> bool:
    """Return whether a change is made at the end of the term.

    `quantity` is that of the plan afterwards, `recurring` the price of each term.
    ConflictError, InvalidRequestError if `when` says so, and it cannot be.
    """
    if when == "period_end":
        _refuse_to_wait(held, has_setup_fee=has_setup_fee)
        return True
    can_wait = held.stripe_status in {"active", "past_due"} and not held.will_end
    if when == "now" or not can_wait or has_setup_fee:
        return False
    after = _Plan(plan_code, billing_cycle, quantity)
    return _is_downgrade(held, after, recurring, catalogue)


def end_of_term(held: Subscription) -> datetime:
    """Return when the running term of the plan ends."""
    moment = held.plan.current_period_end if held.plan else None
    found = moment or held.current_period_end
    if found is None:
        raise ConflictError("This subscription has no term that ends.", code="no_term_to_end")
    return found


def _refuse_to_wait(held: Subscription, *, has_setup_fee: bool) -> None:
    if held.stripe_status not in {"active", "past_due"}:
        raise ConflictError(
            f"This subscription is {held.stripe_status}: a change takes effect at once.",
            code="no_term_to_end",
        )
    if held.will_end:
        raise ConflictError(
            "This subscription ends with its term. Resume it first, or change it at once.",
            code="subscription_ending",
        )
    if has_setup_fee:
        raise InvalidRequestError(
            "The new plan has a setup fee, which is charged at once.",
            code="setup_fee_due",
            fields={"when": "must be now"},
        )


class _Plan(NamedTuple):
    """The plan afterwards, and how many of it."""

    code: str
    billing_cycle: str
    quantity: int


def _is_downgrade(held: Subscription, wanted: _Plan, recurring: int, catalogue: Catalogue) -> bool:
    plan = held.plan
    if plan is None or plan.billing_cycle is None:
        return False
    cycles = (plan.billing_cycle, wanted.billing_cycle)
    before, after = (BILLING_CYCLES[each].months for each in cycles)
    if before > after:
        return True
    if plan.code != wanted.code:
        return _is_smaller(plan, wanted, catalogue)
    return before == after and recurring < sum(map(_amount, held.items))


def _is_smaller(plan: Item, wanted: _Plan, catalogue: Catalogue) -> bool:
    """Return whether the new plan costs less than the present one does, or would for that term."""
    sold = catalogue.plans.get(plan.code or "")
    listed = sold.price_for(wanted.billing_cycle, plan.currency) if sold else None
    old = listed.unit_amount * (plan.quantity or 1) if listed else None
    if plan.billing_cycle == wanted.billing_cycle:
        old = _amount(plan)
    new = catalogue.plans[wanted.code].price_for(wanted.billing_cycle, plan.currency)
    return old is not None and new is not None and new.unit_amount * wanted.quantity < old


def _amount(item: Item) -> int:
    return (item.unit_amount or 0) * (item.quantity or 0)
