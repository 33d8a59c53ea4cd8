"""The cart of a Checkout session: its line items, and what they cost today."""

from dataclasses import dataclass, field

from stripe_sandbox import shapes
from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.cart_taxes import Payer, payer_known, taxes_at, taxes_by_rates
from stripe_sandbox.billing.discounts import Redemption, find_coupon, reduce_amounts
from stripe_sandbox.billing.lines import describe_price
from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.billing.subscriptions import PricedItem
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

CART = "_session_cart"
"""Kind of the stored cart of a session."""


@dataclass(frozen=True)
class Cart:
    """The line items of a session, and the params about what it makes."""

    items: list[PricedItem]
    subscription_data: ReadOnly = field(default_factory=dict)
    discounts: list[ReadOnly] = field(default_factory=list)
    default_tax_rates: tuple[ReadOnly, ...] = ()
    payment_intent_data: ReadOnly = field(default_factory=dict)
    setup_intent_data: ReadOnly = field(default_factory=dict)
    customer_update: ReadOnly = field(default_factory=dict)
    automatic_tax: bool = False

    @property
    def currency(self) -> str:
        """The currency, the same for all items."""
        return str(self.items[0].price["currency"])

    def recurring(self) -> list[PricedItem]:
        """Return the items of the subscription."""
        return [
            one
            for one in self.items
            if one.price["type"] == "recurring" and (one.quantity or is_metered(one.price))
        ]

    def one_time(self) -> list[PricedItem]:
        """Return the items charged once, on the first invoice."""
        return [one for one in self.items if one.price["type"] == "one_time" and one.quantity]

    def rates_of(self, item: PricedItem) -> tuple[ReadOnly, ...]:
        """Return the tax rates of an item: its own, or those of the subscription."""
        return item.tax_rates or self.default_tax_rates

    def has_trial(self) -> bool:
        """Return whether the subscription begins with a trial."""
        data = self.subscription_data
        return bool(data.get("trial_period_days") or data.get("trial_end"))

    def trial_end(self, now: int) -> int | None:
        """Return the Unix time at which a trial that begins now would end."""
        data = self.subscription_data
        if data.get("trial_end"):
            return int(data["trial_end"])
        days = data.get("trial_period_days")
        return now + days * DAY if days else None


def price_cart(
    world: World, cart: Cart, customer: str | None, payer: Payer | None = None
) -> list[Document]:
    """Return the session's line items with what is due today, after discounts, and its taxes.

    `payer` is by default the customer. Raises ApiError for discounts that cannot be redeemed.
    """
    amounts = [_due_today(cart, item) for item in cart.items]
    reductions = [0] * len(amounts)
    for given in cart.discounts:
        redemption = Redemption(
            currency=cart.currency,
            at=world.time_of({"customer": customer}),
            customer=customer,
            amount=sum(amounts),
        )
        coupon, _ = find_coupon(world, given, redemption, "discounts[0]")
        products = [item.price["product"] for item in cart.items]
        reductions = reduce_amounts(amounts, products, coupon, cart.currency)
    payer = payer or payer_known(world, customer)
    return [
        _line_item(
            world, item, amount, reduction, _taxes(world, cart, item, amount - reduction, payer)
        )
        for item, amount, reduction in zip(cart.items, amounts, reductions, strict=True)
    ]


def _due_today(cart: Cart, item: PricedItem) -> int:
    waits_for_trial = cart.has_trial() and item.price["type"] == "recurring"
    return 0 if waits_for_trial or is_metered(item.price) else amount_of(item.price, item.quantity)


def _line_item(
    world: World, item: PricedItem, amount: int, reduction: int, taxes: list[Document]
) -> Document:
    added = sum(tax["amount"] for tax in taxes if not tax["rate"]["inclusive"])
    return shapes.complete(
        {
            "id": world.ids.next("li"),
            "object": "item",
            "adjustable_quantity": item.adjustable,
            "amount_discount": reduction,
            "amount_subtotal": amount,
            "amount_tax": sum(tax["amount"] for tax in taxes),
            "amount_total": amount - reduction + added,
            "currency": item.price["currency"],
            "description": describe_price(world, item.price),
            "discounts": [],
            "metadata": dict(item.metadata),
            "price": dict(item.price),
            "quantity": None if is_metered(item.price) else item.quantity,
            "taxes": taxes,
        }
    )


def _taxes(world: World, cart: Cart, item: PricedItem, net: int, payer: Payer) -> list[Document]:
    if cart.automatic_tax:
        return taxes_at(world, net, item.price, payer)
    return taxes_by_rates(net, cart.rates_of(item), payer, cart.currency)


def keep_cart(world: World, session_id: str, cart: Cart, lines: list[Document]) -> None:
    """Store what the session sells."""
    kept = {
        "id": session_id,
        "line_items": lines,
        "subscription_data": dict(cart.subscription_data),
        "discounts": [dict(given) for given in cart.discounts],
        "payment_intent_data": dict(cart.payment_intent_data),
        "setup_intent_data": dict(cart.setup_intent_data),
        "customer_update": dict(cart.customer_update),
        "automatic_tax": cart.automatic_tax,
        "default_tax_rates": list(cart.default_tax_rates),
        "tax_rates": [list(item.tax_rates) for item in cart.items],
    }
    world.store.put(CART, kept)


def cart_of(world: World, session_id: str) -> Cart:
    """Return the session's cart."""
    kept = world.store.peek(CART, session_id) or {}
    items = [
        PricedItem(
            line["price"],
            line["quantity"] or 0,
            line["metadata"],
            line["adjustable_quantity"],
            tuple(rates),
        )
        for line, rates in zip(kept["line_items"], kept["tax_rates"], strict=True)
    ]
    return Cart(
        items,
        kept["subscription_data"],
        kept["discounts"],
        tuple(kept["default_tax_rates"]),
        kept["payment_intent_data"],
        kept["setup_intent_data"],
        kept["customer_update"],
        automatic_tax=kept["automatic_tax"],
    )


def line_items_of(world: World, session_id: str) -> list[Document]:
    """Return the session's line items as the API lists them."""
    kept = world.store.get(CART, session_id)
    lines: list[Document] = kept["line_items"] if kept else []
    return lines
