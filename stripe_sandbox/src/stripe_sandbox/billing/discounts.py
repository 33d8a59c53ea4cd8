"""Discounts: redemption, amounts, expiry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.billing.currencies import amount_off_in, minimums_of
from stripe_sandbox.billing.periods import add_interval
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, no_such
from stripe_sandbox.money import percent_of, split_amount, step_of
from stripe_sandbox.world import World, differences


@dataclass(frozen=True)
class Redemption:
    """Who redeems a coupon for what, and when by their clock (Unix seconds).

    `customer` is None for a buyer who is not a customer yet. `amount` is the subtotal in minor
    units, None where promotion codes need no minimum.
    """

    currency: str
    at: int
    customer: str | None = None
    amount: int | None = None


def find_coupon(
    world: World, given: Mapping[str, Any], redemption: Redemption, param: str
) -> tuple[Document, str | None]:
    """Return the coupon of a discount param, and the id of its promotion code, if any.

    Raises ApiError for a coupon or promotion code that cannot be redeemed.
    """
    promotion_id = given.get("promotion_code")
    if promotion_id:
        promotion = world.find("promotion_code", promotion_id, f"{param}[promotion_code]")
        _check_promotion_code(world, promotion, redemption, param)
        coupon_id = promotion["promotion"]["coupon"]
    elif given.get("coupon"):
        coupon_id = given["coupon"]
    else:
        raise invalid("A discount must have a coupon or a promotion code.", param=param)
    coupon = world.find("coupon", coupon_id, f"{param}[coupon]")
    if not coupon["valid"] or _is_past(coupon["redeem_by"], redemption.at):
        raise invalid(f"Coupon expired: {coupon_id}", param=param, code="coupon_expired")
    if coupon["amount_off"] is not None and amount_off_in(coupon, redemption.currency) is None:
        message = (
            f"The coupon `{coupon_id}` has the currency `{coupon['currency']}` and cannot be "
            f"applied to `{redemption.currency}`."
        )
        raise invalid(message, param=param)
    return coupon, promotion_id


def _check_promotion_code(
    world: World, promotion: ReadOnly, redemption: Redemption, param: str
) -> None:
    restrictions = promotion["restrictions"]
    if not promotion["active"] or _is_past(promotion["expires_at"], redemption.at):
        raise invalid("This promotion code is no longer active.", param=param)
    if promotion["customer"] not in {None, redemption.customer}:
        message = "This promotion code cannot be redeemed because it belongs to another customer."
        raise invalid(message, param=param)
    if restrictions["first_time_transaction"] and _has_paid(world, redemption.customer):
        message = (
            "This promotion code cannot be redeemed because the associated customer has prior "
            "transactions."
        )
        raise invalid(message, param=param)
    minimums = minimums_of(world, promotion)
    if minimums and redemption.currency not in minimums:
        message = "This promotion code cannot be redeemed in this currency."
        raise invalid(message, param=param)
    minimum = minimums.get(redemption.currency, 0)
    if redemption.amount is not None and redemption.amount < minimum:
        message = "This promotion code cannot be redeemed because the amount is below its minimum."
        raise invalid(message, param=param)


def _is_past(moment: int | None, now: int) -> bool:
    return moment is not None and moment <= now


def _has_paid(world: World, customer_id: str | None) -> bool:
    charges = world.store.where("charge", "customer", customer_id) if customer_id else ()
    return any(charge["paid"] for charge in charges)


def redeem(
    world: World,
    given: Mapping[str, Any],
    redemption: Redemption,
    *,
    subscription: str | None = None,
    subscription_item: str | None = None,
    checkout_session: str | None = None,
    param: str = "discounts",
    replaces: str | None = None,
) -> Document:
    """Redeem a coupon once and return the discount; `given` is a discount param.

    `replaces` is the discount that it takes the place of, which the event says.
    """
    if given.get("discount"):
        return _existing(world, given["discount"], param)
    coupon, promotion_id = find_coupon(world, given, redemption, param)
    _count(world, coupon)
    if promotion_id:
        _count(world, world.find("promotion_code", promotion_id, param))
    names_item = world.choices.item_discounts == "item"
    discount = world.add(
        {
            "id": world.ids.next("di"),
            "object": "discount",
            "checkout_session": checkout_session,
            "customer": redemption.customer,
            "end": _end(coupon, redemption.at),
            "promotion_code": promotion_id,
            "source": {"coupon": coupon["id"], "type": "coupon"},
            "start": redemption.at,
            "subscription": None if subscription_item and names_item else subscription,
            "subscription_item": subscription_item,
        }
    )
    if subscription:
        _announce(world, discount, replaces)
    return discount


def _existing(world: World, discount_id: str, param: str) -> Document:
    discount = world.store.get("discount", discount_id)
    if discount is None:
        raise no_such("discount", discount_id, param)
    return discount


def _announce(world: World, discount: Document, replaces: str | None) -> None:
    if replaces is None:
        world.announce("customer.discount.created", discount)
        return
    previous = differences(world.find("discount", replaces), discount)
    world.announce("customer.discount.updated", discount, previous=previous)


def remove_discounts(world: World, discount_ids: Iterable[str]) -> None:
    """Announce that discounts no longer apply to their subscription or item."""
    for discount_id in discount_ids:
        world.announce("customer.discount.deleted", world.find("discount", discount_id))


def _count(world: World, redeemable: Document) -> None:
    redeemable["times_redeemed"] += 1
    used_up = redeemable["times_redeemed"] == redeemable["max_redemptions"]
    if used_up:
        redeemable["valid" if redeemable["object"] == "coupon" else "active"] = False
    world.save(redeemable)


def _end(coupon: ReadOnly, start: int) -> int | None:
    if coupon["duration"] != "repeating":
        return None
    return add_interval(start, "month", coupon["duration_in_months"])


def coupon_of(world: World, discount_id: str) -> ReadOnly:
    """Return a discount's coupon, even if it has been deleted since."""
    discount = world.find("discount", discount_id)
    coupon_id = discount["source"]["coupon"]
    coupon = world.store.peek("coupon", coupon_id) or world.store.peek("_deleted_coupon", coupon_id)
    if coupon is None:
        raise no_such("coupon", coupon_id, "discounts")
    return coupon


def reduce_amounts(
    amounts: list[int], products: list[str | None], coupon: ReadOnly, currency: str
) -> list[int]:
    """Return the reduction of each amount, in minor units, at most the amount."""
    step = step_of(currency)
    limited_to = (coupon.get("applies_to") or {}).get("products")
    eligible = [
        max(amount, 0) if limited_to is None or product in limited_to else 0
        for amount, product in zip(amounts, products, strict=True)
    ]
    if coupon["percent_off"] is not None:
        total = percent_of(sum(eligible), coupon["percent_off"], step)
    else:
        total = min(amount_off_in(coupon, currency) or 0, sum(eligible))
    return split_amount(total, eligible, step)


def discount_lines(world: World, lines: list[Document], discount_ids: Iterable[str]) -> Document:
    """Add discount amounts to the lines; return the totals by discount id.

    Each discount applies to what the ones before it left.
    """
    totals: Document = {}
    currency = lines[0]["currency"] if lines else ""
    for discount_id in discount_ids:
        remaining = [_discountable(line) for line in lines]
        products = [_product(line) for line in lines]
        coupon = coupon_of(world, discount_id)
        reductions = reduce_amounts(remaining, products, coupon, currency)
        for line, amount in zip(lines, reductions, strict=True):
            line["discount_amounts"].append({"amount": amount, "discount": discount_id})
        totals[discount_id] = sum(reductions)
    return totals


def _product(line: ReadOnly) -> str | None:
    """Return the line's product; None for an amount without a price."""
    details = line["pricing"]["price_details"]
    return details["product"] if details else None


def _discountable(line: ReadOnly) -> int:
    if not line["discountable"]:
        return 0
    return int(line["amount"]) - sum(int(taken["amount"]) for taken in line["discount_amounts"])


def drop_used_up(world: World, holder: Document, at: int) -> None:
    """Remove discounts that the latest invoice used up, or that have ended.

    The `holder` is the subscription that was invoiced, or one of its items.
    """
    kept = []
    for discount_id in holder["discounts"]:
        once = coupon_of(world, discount_id)["duration"] == "once"
        end = world.find("discount", discount_id)["end"]
        if not once and (end is None or end > at):
            kept.append(discount_id)
    if world.choices.used_up_discounts == "deleted":
        remove_discounts(world, [one for one in holder["discounts"] if one not in kept])
    holder["discounts"] = kept


def replace_discounts(
    world: World,
    subscription: ReadOnly,
    holder: Document,
    given: Sequence[ReadOnly] | None,
    param: str = "discounts",
) -> None:
    """Replace the discounts of the `holder`: the subscription, or one of its items."""
    redemption = Redemption(
        currency=subscription["currency"],
        at=world.time_of(subscription),
        customer=subscription["customer"],
    )
    item_id = holder["id"] if holder["object"] == "subscription_item" else None
    named = [one.get("discount") for one in given or []]
    leaving = [one for one in holder["discounts"] if one not in named]
    updates = world.choices.replaced_discounts == "updated"
    replaced = iter(leaving if updates and len(leaving) == named.count(None) else [])
    kept = [
        redeem(
            world,
            one,
            redemption,
            subscription=subscription["id"],
            subscription_item=item_id,
            param=param,
            replaces=None if one.get("discount") else next(replaced, None),
        )["id"]
        for one in given or []
    ]
    if not updates or len(leaving) != named.count(None):
        remove_discounts(world, leaving)
    holder["discounts"] = kept


def current_discounts(world: World, holder: ReadOnly, at: int) -> list[str]:
    """Return the ids of a subscription's or an item's discounts that have not ended."""
    ends = {one: world.find("discount", one)["end"] for one in holder["discounts"]}
    return [one for one, end in ends.items() if end is None or end > at]
