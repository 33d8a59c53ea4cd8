"""Prorations of item changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.discounts import coupon_of, current_discounts, reduce_amounts
from stripe_sandbox.billing.lines import NewInvoiceItem, add_invoice_item, describe_price
from stripe_sandbox.billing.periods import Period, next_end
from stripe_sandbox.billing.subscriptions import PricedItem, make_item, plan_of
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.money import round_to_step, step_of
from stripe_sandbox.world import World


@dataclass(frozen=True)
class ItemChange:
    """An item before and after; `old` is None for a new item, `new` for a removed one.

    `span` is the period to prorate.
    """

    old: ReadOnly | None
    new: ReadOnly | None
    span: Period

    def moves_to_another_interval(self) -> bool:
        """Return whether the billing interval changes, which begins a new period at once."""
        return bool(self.old and self.new and _term(self.old) != _term(self.new))


def _term(item: ReadOnly) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def replace_price(item: Document, price: ReadOnly) -> None:
    """Replace the item's price, which sets its quantity to 1: none if the price is metered."""
    kept = item["quantity"] if item["price"]["id"] == price["id"] else 1
    item["price"], item["plan"] = dict(price), plan_of(price)
    item["quantity"] = None if is_metered(price) else kept


def new_item(world: World, subscription: ReadOnly, item: PricedItem, now: int) -> Document:
    """Return a new item of a running subscription, on the period of its first item.

    An item with another interval gets its own period, which begins now.
    """
    first = subscription["items"]["data"][0]
    shares_period = _term(first) == _term({"price": item.price})
    if shares_period or subscription["status"] == "trialing":
        end = first["current_period_end"]
    else:
        end = next_end(item.price, now, now)
    return make_item(world, item, subscription["id"], Period(now, end))


def prorate(
    world: World,
    subscription: ReadOnly,
    customer: ReadOnly,
    changes: list[ItemChange],
    at: int,
    *,
    credit_only: bool,
) -> None:
    """Create pending invoice items for unused and remaining time, to the second.

    Metered items have none: what was used is billed after the period.

    `credit_only` omits the remaining time, since a new period is billed in full.
    """
    for change in changes:
        share = Fraction(max(change.span.end - at, 0), max(change.span.end - change.span.start, 1))
        rest = Period(at, change.span.end)
        charges = []
        if change.old and not is_metered(change.old["price"]):
            credit = -_credited(world, subscription, change.old, change.span, at)
            charges.append(_proration(world, subscription, change.old, credit, rest))
        if change.new and not credit_only and not is_metered(change.new["price"]):
            discounts = _debit_discounts(world, subscription, change.new, at)
            debit = share * net_amount(world, subscription, change.new, discounts)
            charges.append(_proration(world, subscription, change.new, debit, rest))
        for charge in charges:
            if charge.amount:
                made = add_invoice_item(world, customer, charge)
                world.announce("invoiceitem.created", made)


def credit_unused_time(world: World, subscription: ReadOnly, *, whole: bool = False) -> None:
    """Create pending credits for the rest of every item's period, or with `whole` for all of it."""
    if subscription["status"] == "trialing":
        return
    customer = world.find("customer", subscription["customer"])
    now = world.time_of(subscription)
    for item in subscription["items"]["data"]:
        span = Period(item["current_period_start"], item["current_period_end"])
        changes = [ItemChange(item, None, span)]
        at = span.start if whole else now
        prorate(world, subscription, customer, changes, at, credit_only=True)


def _credited(
    world: World, subscription: ReadOnly, item: ReadOnly, span: Period, at: int
) -> Fraction:
    """Return the credit for the unused time of an item.

    Flexible billing credits the original debit; classic billing credits the item's current price
    with the discounts last used on it.
    """
    debits = _last_debits(world, item["id"])
    present = world.choices.classic_discounts == "present"
    if not debits or (present and subscription["billing_mode"]["type"] == "classic"):
        discounts = _current_discounts(world, subscription, item, at)
    else:
        discounts = [one["discount"] for one in debits[0].get("discount_amounts") or ()]
    if not debits or subscription["billing_mode"]["type"] == "classic":
        share = Fraction(max(span.end - at, 0), max(span.end - span.start, 1))
        return share * net_amount(world, subscription, item, discounts)
    billed, period = sum(map(_net_of, debits)), debits[0]["period"]
    length = max(period["end"] - period["start"], 1)
    return Fraction(max(period["end"] - at, 0), length) * billed


def _current_discounts(world: World, subscription: ReadOnly, item: ReadOnly, at: int) -> list[str]:
    """Return the discounts of the item, then those of its subscription."""
    holders = (item, subscription)
    return [one for holder in holders for one in current_discounts(world, holder, at)]


def _debit_discounts(world: World, subscription: ReadOnly, item: ReadOnly, at: int) -> list[str]:
    """Return the discounts of what an item costs from now on."""
    found = _current_discounts(world, subscription, item, at)
    if world.choices.amount_off_upgrades == "share":
        return found
    return [one for one in found if coupon_of(world, one)["amount_off"] is None]


def _last_debits(world: World, item_id: str) -> list[ReadOnly]:
    """Return what last charged the item: a pending proration, or lines of an invoice.

    The latter are several if its price has tiers.
    """
    subscription = next(world.store.where("subscription", "item", item_id), None)
    if subscription is None:
        return []
    of_subscription = ("subscription", str(subscription["id"]))
    for item in world.store.newest_first("invoiceitem", having=of_subscription):
        if item["invoice"] is None and item["amount"] >= 0 and _item_of(item) == item_id:
            return [item]
    for invoice in world.store.newest_first("invoice", having=of_subscription):
        lines = [
            line
            for line in invoice["lines"]["data"]
            if line["amount"] >= 0 and _item_of_line(world, line) == item_id
        ]
        if lines and invoice["status"] != "void":
            return [line for line in lines if _is_of_charge(line, lines[-1])]
    return []


def _is_of_charge(line: ReadOnly, last: ReadOnly) -> bool:
    """Return whether two lines of an item charge the same term: they are of tiers of its price."""
    if line is last:
        return True
    of_items = all(one["parent"]["subscription_item_details"] for one in (line, last))
    return of_items and bool(line["period"] == last["period"])


def _item_of(item: ReadOnly) -> str | None:
    details = item["parent"]["subscription_details"] if item["parent"] else None
    return details["subscription_item"] if details else None


def _item_of_line(world: World, line: ReadOnly) -> str | None:
    parent = line["parent"]
    if parent["subscription_item_details"]:
        return str(parent["subscription_item_details"]["subscription_item"])
    item = world.store.peek("invoiceitem", parent["invoice_item_details"]["invoice_item"])
    return _item_of(item) if item else None


def _net_of(debit: ReadOnly) -> int:
    taken = debit.get("discount_amounts") or ()
    return int(debit["amount"]) - sum(int(one["amount"]) for one in taken)


def net_amount(
    world: World, subscription: ReadOnly, item: ReadOnly, discount_ids: Sequence[str]
) -> int:
    """Return what a full period of the item costs after these discounts, in minor units."""
    others = [one for one in subscription["items"]["data"] if one["id"] != item["id"]]
    items = [item, *others]
    amounts = [amount_of(one["price"], one["quantity"] or 0) for one in items]
    products = [id_of(one["price"]["product"]) for one in items]
    for discount_id in discount_ids:
        only = world.find("discount", discount_id)["subscription_item"]
        eligible = [
            amount if only in {None, one["id"]} else 0
            for amount, one in zip(amounts, items, strict=True)
        ]
        coupon = coupon_of(world, discount_id)
        taken = reduce_amounts(eligible, products, coupon, subscription["currency"])
        amounts = [amount - less for amount, less in zip(amounts, taken, strict=True)]
    return amounts[0]


def _proration(
    world: World, subscription: ReadOnly, item: ReadOnly, amount: Fraction, rest: Period
) -> NewInvoiceItem:
    """Return the proration of an item; a negative amount is a credit."""
    verb = "Unused time on" if amount < 0 else "Remaining time on"
    return NewInvoiceItem(
        amount=round_to_step(amount, step_of(subscription["currency"])),
        currency=subscription["currency"],
        description=f"{verb} {describe_price(world, item['price'])}",
        period=rest,
        price=item["price"],
        quantity=item["quantity"] or 0,
        discountable=False,
        proration=True,
        subscription=subscription["id"],
        subscription_item=item["id"],
        tax_rates=tuple(item["tax_rates"]),
    )
