"""Invoice line items, and invoice items."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from stripe_sandbox import shapes
from stripe_sandbox.billing.amounts import Part, parts_of
from stripe_sandbox.billing.discounts import current_discounts
from stripe_sandbox.billing.periods import Period
from stripe_sandbox.billing.usage import billed_usage, is_metered
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import invalid
from stripe_sandbox.money import format_exact
from stripe_sandbox.world import World

WHOLE = Fraction(1)


@dataclass(frozen=True)
class NewInvoiceItem:
    """The contents of an invoice item; `amount` is in minor units."""

    amount: int
    currency: str
    description: str
    period: Period
    price: ReadOnly | None = None
    quantity: int = 1
    metadata: ReadOnly = field(default_factory=dict)
    discountable: bool = True
    discounts: tuple[str, ...] = ()
    proration: bool = False
    subscription: str | None = None
    subscription_item: str | None = None
    invoice: str | None = None
    tax_rates: tuple[ReadOnly, ...] = ()


def pricing(price: ReadOnly | None, unit_amount: int) -> Document:
    """Return the `pricing` of a line item or an invoice item."""
    details = {"price": price["id"], "product": id_of(price["product"])} if price else None
    decimal = price["unit_amount_decimal"] if price else str(unit_amount)
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": decimal}


def describe_price(world: World, price: ReadOnly) -> str:
    """Return the name of the price's product."""
    product = world.store.peek("product", price["product"])
    return str(product["name"] if product else price["nickname"] or price["id"])


def describe_term(world: World, price: ReadOnly, quantity: int) -> str:
    """Return the description of a period on an invoice, also of several tiers together."""
    parts = parts_of(price, quantity)
    if len(parts) == 1:
        return describe_part(world, price, parts[0])
    return f"{_count(world, price, quantity)} (by tiers{_every(price)})"


def describe_part(world: World, price: ReadOnly, part: Part) -> str:
    """Return the description of a line: `1 x Starter (at $10.00 / month)`.

    A tier is named: `31 credit x Usage (Tier 2 at $0.036 / month)`; its flat fee has no count.
    """
    tier = f"Tier {part.tier} at" if part.tier else "at"
    what = describe_price(world, price) if part.is_flat else _count(world, price, part.quantity)
    return f"{what} ({tier} {format_exact(part.unit, price['currency'])}{_every(price)})"


def _count(world: World, price: ReadOnly, quantity: int) -> str:
    product = world.store.peek("product", price["product"]) or {}
    label = f" {product['unit_label']}" if product.get("unit_label") else ""
    return f"{quantity}{label} \N{MULTIPLICATION SIGN} {describe_price(world, price)}"


def _every(price: ReadOnly) -> str:
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    return f" / {interval}" if count == 1 else f" every {count} {interval}s"


def term_lines_of(
    world: World,
    subscription: ReadOnly,
    item: ReadOnly,
    period: Period,
    *,
    is_trial: bool,
    share: Fraction = WHOLE,
) -> list[Document]:
    """Return the lines that bill a subscription item for a period that begins, or a share of it.

    In a trial it is zero, and for a metered price, of which nothing is used yet.
    """
    price, quantity = item["price"], item["quantity"] or 0
    parts = parts_sold(world, price, quantity)
    if is_trial or is_metered(price):
        parts = [replace(parts[0], quantity=quantity, amount=0)]
    elif share != WHOLE:
        parts = [replace(one, amount=int(one.amount * share + Fraction(1, 2))) for one in parts]
    return [_term(world, subscription, item, period, one, is_trial=is_trial) for one in parts]


def usage_lines_of(
    world: World, subscription: ReadOnly, item: ReadOnly, period: Period
) -> list[Document]:
    """Return the lines that bill what was used of a metered item in a period; in a trial, zero."""
    price = item["price"]
    quantity = billed_usage(world, price, subscription["customer"], period)
    parts = parts_sold(world, price, quantity)
    is_trial = is_free(subscription, period)
    if is_trial:
        parts = [replace(parts[0], quantity=quantity, amount=0)]
    return [_term(world, subscription, item, period, one, is_trial=is_trial) for one in parts]


def parts_sold(world: World, price: ReadOnly, quantity: int) -> list[Part]:
    """Return what lines charge of a quantity; by `Choices` a volume price is one line."""
    parts = parts_of(price, quantity)
    if price["tiers_mode"] == "volume" and world.choices.volume_fees == "included":
        return [replace(parts[0], amount=sum(one.amount for one in parts))]
    return parts


def is_free(subscription: ReadOnly, period: Period) -> bool:
    """Return whether a period belongs to the trial."""
    return subscription["trial_end"] is not None and period.end <= subscription["trial_end"]


def _term(
    world: World,
    subscription: ReadOnly,
    item: ReadOnly,
    period: Period,
    part: Part,
    *,
    is_trial: bool,
) -> Document:
    price = item["price"]
    description = (
        f"Trial period for {describe_price(world, price)}"
        if is_trial
        else describe_part(world, price, part)
    )
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
        "subscription_item": item["id"],
    }
    return _line(
        world,
        amount=part.amount,
        currency=subscription["currency"],
        description=description,
        discounts=current_discounts(world, item, period.start),
        metadata=subscription["metadata"],
        parent={"subscription_item_details": details, "type": "subscription_item_details"},
        period=period.as_document(),
        pricing={**pricing(price, 0), **tier_pricing(part)},
        quantity=part.quantity,
        subscription=subscription["id"],
    )


def tier_pricing(part: Part) -> Document:
    """Return what differs in the `pricing` of a line of a tier: a flat fee has no unit."""
    if part.tier is None:
        return {}
    return {"unit_amount_decimal": None if part.is_flat else part.unit}


def item_line(world: World, item: ReadOnly) -> Document:
    """Return the line that bills an invoice item."""
    bound_to = item["parent"]["subscription_details"] if item["parent"] else None
    subscription = bound_to["subscription"] if bound_to else None
    details = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": None},
        "subscription": subscription,
    }
    return _line(
        world,
        amount=item["amount"],
        currency=item["currency"],
        description=item["description"],
        discountable=item["discountable"],
        discounts=item["discounts"],
        metadata=item["metadata"],
        parent={"invoice_item_details": details, "type": "invoice_item_details"},
        period=item["period"],
        pricing=item["pricing"],
        quantity=item["quantity"],
        subscription=subscription,
    )


def _line(world: World, **values: Any) -> Document:
    document = {
        "id": world.ids.next("il"),
        "object": "line_item",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "pretax_credit_amounts": [],
        "quantity_decimal": str(Decimal(values["quantity"])),
        "subtotal": values["amount"],
        "taxes": [],
    }
    return shapes.complete(document | values)


def add_invoice_item(world: World, customer: ReadOnly, charge: NewInvoiceItem) -> Document:
    """Store an invoice item, pending for the next invoice of its subscription or customer."""
    bound_to = {
        "subscription": charge.subscription,
        "subscription_item": charge.subscription_item,
    }
    parent = {"subscription_details": bound_to, "type": "subscription_details"}
    unit_amount = charge.amount // (charge.quantity or 1)
    return world.add(
        {
            "id": world.ids.next("ii"),
            "object": "invoiceitem",
            "amount": charge.amount,
            "currency": charge.currency,
            "customer": customer["id"],
            "date": world.time_of(customer),
            "description": charge.description,
            "discountable": charge.discountable,
            "discounts": list(charge.discounts),
            "invoice": charge.invoice,
            "livemode": False,
            "metadata": dict(charge.metadata),
            "net_amount": charge.amount,
            "parent": parent if charge.subscription else None,
            "period": charge.period.as_document(),
            "pricing": pricing(charge.price, unit_amount),
            "proration": charge.proration,
            "quantity": charge.quantity,
            "quantity_decimal": str(charge.quantity),
            "tax_rates": list(charge.tax_rates),
            "test_clock": world.clock_of(customer),
        }
    )


def check_currency_of(world: World, customer_id: str, currency: str) -> None:
    """Raise ApiError if the customer has something active in another currency."""
    for subscription in world.store.where("subscription", "customer", customer_id):
        if subscription["ended_at"] is None:
            _refuse_mixture(subscription["currency"], currency)
    for item in world.store.where("invoiceitem", "customer", customer_id):
        if item["invoice"] is None:
            _refuse_mixture(item["currency"], currency)


def _refuse_mixture(existing: str, currency: str) -> None:
    if existing != currency:
        raise invalid(
            "You cannot combine currencies on a single customer. This customer has an active "
            "subscription, subscription schedule, discount, quote, or invoice item with currency "
            f"{existing}."
        )


def pending_items(
    world: World, customer_id: str, subscription_id: str | None, currency: str
) -> list[Document]:
    """Return pending invoice items, oldest first.

    Those of the subscription, and those of the customer without a subscription.
    """
    return [
        dict(item)
        for item in world.store.where("invoiceitem", "customer", customer_id)
        if item["invoice"] is None
        and item["currency"] == currency
        and bound_subscription(item) in {None, subscription_id}
    ]


def bound_subscription(item: ReadOnly) -> str | None:
    """Return the id of an invoice item's subscription, if any."""
    return item["parent"]["subscription_details"]["subscription"] if item["parent"] else None
