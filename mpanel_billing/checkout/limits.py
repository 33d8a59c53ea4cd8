"""What is sold a limited number of times: trials, plans and coupons.

Other orders are counted by their state in the mirror, under a lock of the plan's or coupon's row,
in the transaction that records the order. So two orders at the same time cannot both have the last
one, an open payment page keeps its place, and one that has expired gives it back.
"""

from dataclasses import dataclass

from mpanel_billing.catalogue.model import Coupon, Product
from mpanel_billing.catalogue.order import PricedOrder
from mpanel_billing.checkout.repository import redemptions
from mpanel_billing.checkout.repository.redemptions import Asking, Taken
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order is refused; `is_personal`: the reason tells what the buyer has had."""

    reason: ConflictError
    is_personal: bool


async def find_refusal(conn: Connection, priced: PricedOrder, asking: Asking) -> Refusal | None:
    """Return why the order cannot have what is limited, if so; locks what it counts.

    The caller's transaction must record the order.
    """
    if not priced.limited and not priced.trial_days:
        return None
    taken = await _count(conn, priced, asking)
    return (
        _refuse_trial(priced, taken)
        or _refuse_plan(priced.plan, taken)
        or (_refuse_coupon(priced.coupon, taken) if priced.coupon else None)
    )


async def _count(conn: Connection, priced: PricedOrder, asking: Asking) -> Taken:
    """Lock, then count in a statement of its own: it sees what the lock has waited for."""
    counted = priced.coupon.code if priced.coupon and priced.coupon.counted else None
    if priced.plan.max_per_customer is not None:
        await redemptions.lock_plan(conn, priced.plan.id)
    if counted is not None:
        await redemptions.lock_coupon(conn, counted)
    return await redemptions.count_taken(conn, asking, priced.plan.id, counted)


def _refuse_trial(priced: PricedOrder, taken: Taken) -> Refusal | None:
    if not priced.trial_days or not taken.trials:
        return None
    reason = ConflictError(
        f"You have already had a free trial of {priced.plan.name}. Please order without a trial.",
        code="trial_used",
        fields={"trialActive": "already used"},
    )
    return Refusal(reason, is_personal=True)


def _refuse_plan(plan: Product, taken: Taken) -> Refusal | None:
    if plan.max_per_customer is None or taken.plans < plan.max_per_customer:
        return None
    return Refusal(plan_limit_reached(plan), is_personal=False)


def plan_limit_reached(plan: Product) -> ConflictError:
    """Return the error for one plan too many; the sentence is the same whatever the buyer has."""
    return ConflictError(
        f"{plan.name} is limited to {plan.max_per_customer} per customer. If you have ordered it "
        "already, please complete that order; otherwise choose another plan.",
        code="plan_limit_reached",
        fields={"planId": f"at most {plan.max_per_customer} per customer"},
    )


def _refuse_coupon(coupon: Coupon, taken: Taken) -> Refusal | None:
    if coupon.max_redemptions is not None and taken.coupons >= coupon.max_redemptions:
        reason = ConflictError(
            f'The coupon "{coupon.code}" has been used up. Please order without it.',
            code="coupon_used_up",
            fields={"couponCode": "used up"},
        )
        return Refusal(reason, is_personal=False)
    if not _is_used(coupon, taken):
        return None
    reason = ConflictError(
        f'You cannot use the coupon "{coupon.code}" again. Please order without it.',
        code="coupon_used",
        fields={"couponCode": "already used"},
    )
    return Refusal(reason, is_personal=True)


async def is_used_up(conn: Connection, coupon: Coupon, asking: Asking) -> bool:
    """Return whether nobody may have a coupon again, or not who asks; locks what it counts.

    Their subscription runs; it may have had it before. The caller's transaction must record that
    they have it.
    """
    if not coupon.counted:
        return False
    await redemptions.lock_coupon(conn, coupon.code)
    if await redemptions.has_redeemed(conn, asking.subscription_id, coupon.code):
        return True
    taken = await redemptions.count_taken(conn, asking, None, coupon.code)
    return _refuse_coupon(coupon, taken) is not None


def _is_used(coupon: Coupon, taken: Taken) -> bool:
    if coupon.first_order_only and (taken.own_orders or taken.own_coupons):
        return True
    return coupon.max_per_customer is not None and taken.own_coupons >= coupon.max_per_customer
