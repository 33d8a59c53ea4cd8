"""The catalogue as values: products with their prices, and coupons."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Literal
from uuid import UUID

from mpanel_billing.catalogue.usage import Tier, Usage

ProductKind = Literal["plan", "addon", "domain", "fee"]
CouponDuration = Literal["once", "repeating", "forever"]
PricePurpose = Literal["transfer", "renewal", "redemption"]
"""What a domain's price is for, if not for its first year."""
TaxBehavior = Literal["inclusive", "exclusive"]
"""Whether a price contains the taxes."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a product costs for one term, or once if `billing_cycle` is None.

    `purpose` is None for what it costs to buy the product. One with `tiers` is billed by usage,
    after the term: its `unit_amount` is 0.

    `id` is that of our row; `stripe_price_id` is None until the catalogue has been pushed in this
    mode; `unit_amount` is in minor units of `currency` (lower case) for the whole term.
    `tax_behavior` is None if the catalogue does not say it.
    """

    id: UUID
    lookup_key: str
    stripe_price_id: str | None
    billing_cycle: str | None
    currency: str
    unit_amount: int
    purpose: PricePurpose | None = None
    tiers: tuple[Tier, ...] = ()
    tax_behavior: TaxBehavior | None = None
    version: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Product:
    """A product on sale. A plan's or add-on's price without a cycle is its setup fee.

    A subscription may have `max_quantity` of a plan or add-on.
    Of plans: a customer may have `max_per_customer` of them at a time, None without a limit;
    `card_required`, even if nothing is due; `free_domain`: a long term includes the order's first
    domain; `allowed_changes`: the plans it may be changed to, None for any.
    An add-on with `usage` is billed by what was used.
    """

    id: UUID
    code: str
    kind: ProductKind
    name: str
    description: str
    category: str | None
    product_types: tuple[str, ...]
    trial_days: int
    features: tuple[str, ...]
    resources: Mapping[str, str | int | float | bool]
    display_order: int
    stripe_product_id: str | None
    prices: tuple[Price, ...]
    max_per_customer: int | None = None
    card_required: bool = False
    free_domain: bool = False
    allowed_changes: tuple[str, ...] | None = None
    max_quantity: int = 1
    usage: Usage | None = None
    tax_code: str | None = None

    def price_for(
        self, cycle: str | None, currency: str, purpose: PricePurpose | None = None
    ) -> Price | None:
        """Return the price for a term (None: one-time) in a currency."""
        wanted = cycle, currency, purpose
        for price in self.prices:
            if (price.billing_cycle, price.currency, price.purpose) == wanted:
                return price
        return None

    def cycles_in(self, currency: str) -> tuple[str, ...]:
        """Return the terms for which it is sold in a currency, in the order of its prices."""
        return tuple(
            price.billing_cycle
            for price in self.prices
            if price.billing_cycle is not None and price.currency == currency
        )


@dataclass(frozen=True, slots=True)
class Coupon:
    """A discount on an order: `percent_off`, or `amount_off` in minor units of `currency`.

    It is taken off all lines, or off those of `products` (codes). It takes an order of
    `minimum_amount`, in minor units of `currency`, before the discount. `amount_off_in` and
    `minimum_amount_in` are the same in other currencies. At most `max_redemptions`
    orders have it, `max_per_customer` of one person, with `first_order_only` their first one.
    `retention`: not for orders, but offered to customers who want to cancel.
    `stripe_promotion_code`: it is redeemed by this promotion code of Stripe's, and not in the
    catalogue.
    """

    code: str
    name: str
    percent_off: Decimal | None
    amount_off: int | None
    currency: str | None
    duration: CouponDuration
    duration_in_months: int | None
    stripe_coupon_id: str | None
    max_redemptions: int | None = None
    max_per_customer: int | None = None
    expires_at: datetime | None = None
    products: tuple[str, ...] = ()
    first_order_only: bool = False
    retention: bool = False
    minimum_amount: int | None = None
    stripe_promotion_code: str | None = None
    amount_off_in: Mapping[str, int] = field(default_factory=dict)
    minimum_amount_in: Mapping[str, int] = field(default_factory=dict)

    @property
    def amounts_off(self) -> Mapping[str, int]:
        """What it takes off, in minor units by currency; empty: it is a percentage."""
        return _by_currency(self.currency, self.amount_off, self.amount_off_in)

    @property
    def minimums(self) -> Mapping[str, int]:
        """What the order must come to, in minor units by currency; empty: anything."""
        return _by_currency(self.currency, self.minimum_amount, self.minimum_amount_in)

    @property
    def currencies(self) -> frozenset[str]:
        """The currencies that it is for; empty: all."""
        return frozenset({*self.amounts_off, *self.minimums})

    def in_currency(self, currency: str) -> "Coupon | None":
        """Return it with its sums and Stripe's id in a currency; None: it is not for that one."""
        if not self.currencies or currency == self.currency:
            return self
        if currency not in self.currencies:
            return None
        stripe_id = self.stripe_coupon_id
        if stripe_id and self.amount_off is not None and not self.stripe_promotion_code:
            stripe_id = stripe_coupon_id_in(stripe_id, currency)
        return replace(
            self,
            currency=currency,
            amount_off=self.amount_off_in.get(currency),
            minimum_amount=self.minimum_amount_in.get(currency),
            amount_off_in={},
            minimum_amount_in={},
            stripe_coupon_id=stripe_id,
        )

    @property
    def redeemed_by(self) -> str | None:
        """The id at Stripe by which it is redeemed: of its promotion code, or its own."""
        return self.stripe_promotion_code or self.stripe_coupon_id

    @property
    def counted(self) -> bool:
        """Whether it depends on the orders that have it already."""
        limits = self.max_redemptions, self.max_per_customer
        return self.first_order_only or any(limit is not None for limit in limits)


def stripe_coupon_id_in(coupon_id: str, currency: str) -> str:
    """Return the id at Stripe of a coupon's amount in another currency than its own.

    Codes are in upper case, so no coupon has it as its code.
    """
    return f"{coupon_id}_{currency}"


def _by_currency(
    currency: str | None, own: int | None, others: Mapping[str, int]
) -> Mapping[str, int]:
    return others if currency is None or own is None else {currency: own, **others}


@dataclass(frozen=True)
class Catalogue:
    """Everything on sale now, each kind in its display order; `currency`: if none is asked for."""

    products: tuple[Product, ...]
    coupons: tuple[Coupon, ...]
    currency: str = field(default="usd")

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """The currencies that plans are sold in, first the one that nobody has to ask for."""
        sold = {
            price.currency
            for plan in self.plans.values()
            for price in plan.prices
            if price.billing_cycle
        }
        return (self.currency, *sorted(sold - {self.currency}))

    @cached_property
    def plans(self) -> Mapping[str, Product]:
        """The plans by code."""
        return _by_code(self.products, "plan")

    @cached_property
    def addons(self) -> Mapping[str, Product]:
        """The add-ons by code."""
        return _by_code(self.products, "addon")

    @cached_property
    def domains(self) -> Mapping[str, Product]:
        """The domain products by TLD, without the leading dot."""
        return {
            code.removeprefix(DOMAIN_PREFIX): product
            for code, product in _by_code(self.products, "domain").items()
        }

    @cached_property
    def fees(self) -> Mapping[str, Product]:
        """The one-time fees by code."""
        return _by_code(self.products, "fee")

    @cached_property
    def coupons_by_code(self) -> Mapping[str, Coupon]:
        """The coupons by code, in upper case."""
        return {coupon.code: coupon for coupon in self.coupons}

    def find_coupon(self, code: str | None) -> Coupon | None:
        """Find a coupon by its code as it was typed: in any case, with spaces around."""
        return self.coupons_by_code.get((code or "").strip().upper())

    def find_price(self, reference: str) -> tuple[Product, Price] | None:
        """Find a price by any of its names: Stripe's id, the lookup key or our id."""
        for product in self.products:
            for price in product.prices:
                if reference in {price.stripe_price_id, price.lookup_key, str(price.id)}:
                    return product, price
        return None


DOMAIN_PREFIX = "domain-"
"""Keeps TLDs apart from the codes of plans: `business` may be both."""


def _by_code(products: Iterable[Product], kind: ProductKind) -> Mapping[str, Product]:
    return {product.code: product for product in products if product.kind == kind}
