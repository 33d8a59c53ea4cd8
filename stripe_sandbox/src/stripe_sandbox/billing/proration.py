"""Prorations of item changes."""

from dataclasses import dataclass
from fractions import Fraction

from stripe_sandbox.billing.lines import NewInvoiceItem, add_invoice_item, describe_price
from stripe_sandbox.billing.periods import Period, next_end
from stripe_sandbox.billing.subscriptions import PricedItem, make_item, plan_of
from stripe_sandbox.documents import Document, ReadOnly
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
    """Replace the item's price."""
    item["price"], item["plan"] = dict(price), plan_of(price)


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

    `credit_only` omits the remaining time, since a new period is billed in full.
    """
    for change in changes:
        share = Fraction(max(change.span.end - at, 0), max(change.span.end - change.span.start, 1))
        rest = Period(at, change.span.end)
        unused = _charge(world, subscription, change.old, -share, rest)
        remaining = _charge(world, subscription, change.new, share, rest)
        for charge in (unused, None if credit_only else remaining):
            if charge and charge.amount:
                made = add_invoice_item(world, customer, charge)
                world.announce("invoiceitem.created", made)


def _charge(
    world: World, subscription: ReadOnly, item: ReadOnly | None, share: Fraction, rest: Period
) -> NewInvoiceItem | None:
    """Return the proration for a share of the item's period; a negative share is a credit."""
    if item is None:
        return None
    full = (item["price"]["unit_amount"] or 0) * (item["quantity"] or 0)
    verb = "Unused time on" if share < 0 else "Remaining time on"
    return NewInvoiceItem(
        amount=_round(full * share),
        currency=subscription["currency"],
        description=f"{verb} {describe_price(world, item['price'])}",
        period=rest,
        price=item["price"],
        quantity=item["quantity"] or 0,
        discountable=False,
        proration=True,
        subscription=subscription["id"],
        subscription_item=item["id"],
    )


def _round(amount: Fraction) -> int:
    """Return the amount rounded half away from zero."""
    whole = int(abs(amount) + Fraction(1, 2))
    return -whole if amount < 0 else whole
