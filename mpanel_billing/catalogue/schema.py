"""The shape of a catalogue file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from mpanel_billing.catalogue.line_numbers import Path
from mpanel_billing.catalogue.model import DOMAIN_PREFIX, PricePurpose, ProductKind, TaxBehavior
from mpanel_billing.catalogue.usage import Aggregation, AtLimit, Tier
from mpanel_billing.catalogue.values import (
    Amount,
    Code,
    CouponCode,
    Currency,
    Cycle,
    CyclePrices,
    Limit,
    Many,
    Resource,
    Sentence,
    Sum,
    TaxCode,
    Tld,
    UnitAmount,
    Word,
    is_not_empty,
)

PriceT = TypeVar("PriceT")


def _by_currency(
    currency: str, field: str, value: PriceT, others: Mapping[str, PriceT]
) -> Iterator[tuple[str, Path, PriceT]]:
    """Yield a value in the file's currency and in `others`: (currency, path, value)."""
    yield currency, (field,), value
    for other, price in others.items():
        yield other, (f"{field}_in", other), price


@dataclass(frozen=True, slots=True)
class EntryAmount:
    """One amount of an entry: its place in the file, its term (None: paid once), its value.

    `word` distinguishes the entry's amounts in one currency: the term, `once`, `setup` or the
    `purpose`. With `tiers` it is billed by usage.
    """

    path: Path
    word: str
    billing_cycle: str | None
    currency: str
    amount: int
    purpose: PricePurpose | None = None
    tiers: tuple[Tier, ...] = ()


class Entry(BaseModel):
    """Strict: no conversions, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class ProductEntry(Entry):
    """What all products have in common."""

    name: Sentence
    description: Sentence
    display_order: int = 0
    tax_code: TaxCode | None = None


class RecurringEntry(ProductEntry):
    """A product paid every term; amounts are in minor units for the whole term.

    A subscription may have `max_quantity` of it.
    """

    code: Code
    category: Word
    product_types: Annotated[Many[Word], AfterValidator(is_not_empty)]
    features: Many[Sentence] = ()
    resources: dict[Word, Resource] = Field(default_factory=dict)
    prices: CyclePrices
    prices_in: dict[Currency, CyclePrices] = Field(default_factory=dict)
    setup_fee: Amount = 0
    max_quantity: Limit = 1
    setup_fee_in: dict[Currency, Amount] = Field(default_factory=dict)

    @property
    def product_code(self) -> str:
        """The code by which clients order it."""
        return self.code

    def amounts(self, currency: str) -> Iterator[EntryAmount]:
        """Yield the amounts; `currency` is the file's. A fee of 0 is left out."""
        for code, path, prices in _by_currency(currency, "prices", self.prices, self.prices_in):
            for cycle, amount in prices.items():
                yield EntryAmount((*path, cycle), cycle, cycle, code, amount)
        fees = _by_currency(currency, "setup_fee", self.setup_fee, self.setup_fee_in)
        for code, path, fee in fees:
            if fee:
                yield EntryAmount(path, "setup", None, code, fee)


class PlanEntry(RecurringEntry):
    """The base product of an order.

    `max_per_customer` living ones, None without a limit. `card_required`: also if nothing is due.
    `free_domain`: with a term of twelve months or more, the order's first domain is free.
    `allowed_changes`: the plans it may be changed to, None for any.
    """

    trial_days: Annotated[int, Field(ge=0, le=730)] = 0
    max_per_customer: Limit | None = None
    card_required: bool = False
    free_domain: bool = False
    allowed_changes: Many[Code] | None = None


class TierEntry(Entry):
    """What each unit costs up to so many in a term, in minor units; without `up_to` all others."""

    up_to: Limit | None = None
    unit_amount: UnitAmount


Tiers = Annotated[Many[TierEntry], AfterValidator(is_not_empty)]


class UsageEntry(Entry):
    """How an add-on is metered, and what its units cost; each term includes some.

    `tiers` count from 0, so that what is included is part of the first ones. mPanel is told when
    the usage of a term reaches one of `notify_at`; at its `limit` follows `at_limit`, which is
    `tell` if nothing is said.
    """

    meter: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
    aggregation: Aggregation = "sum"
    unit: Annotated[str, StringConstraints(min_length=1, max_length=20, strip_whitespace=True)]
    included: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    notify_at: Many[Limit] = ()
    limit: Limit | None = None
    at_limit: AtLimit | None = None
    terms: Annotated[Many[Cycle], AfterValidator(is_not_empty)]
    tiers: Tiers
    tiers_in: dict[Currency, Tiers] = Field(default_factory=dict)

    def amounts(self, currency: str) -> Iterator[EntryAmount]:
        """Yield a price for each term and currency."""
        for code, path, tiers in _by_currency(currency, "tiers", self.tiers, self.tiers_in):
            for cycle in self.terms:
                priced = tuple(self._with_included(tiers))
                yield EntryAmount(("usage", *path), cycle, cycle, code, 0, tiers=priced)

    def _with_included(self, tiers: Iterable[TierEntry]) -> Iterator[Tier]:
        if self.included:
            yield Tier(self.included, Decimal(0))
        yield from (Tier(tier.up_to, tier.unit_amount) for tier in tiers)


class AddonEntry(RecurringEntry):
    """A recurring extra to a plan: at a price, or with `usage` at what was used."""

    prices: dict[Cycle, Amount] = Field(default_factory=dict)
    usage: UsageEntry | None = None

    def amounts(self, currency: str) -> Iterator[EntryAmount]:
        """Yield the amounts; `currency` is the file's."""
        yield from super().amounts(currency)
        if self.usage and not self.prices:
            yield from self.usage.amounts(currency)


class OneTimeEntry(ProductEntry):
    """A product paid once, in minor units."""

    price: Amount
    price_in: dict[Currency, Amount] = Field(default_factory=dict)

    def amounts(self, currency: str) -> Iterator[EntryAmount]:
        """Yield the amounts; `currency` is the file's."""
        for code, path, amount in _by_currency(currency, "price", self.price, self.price_in):
            yield EntryAmount(path, "once", None, code, amount)


class DomainEntry(OneTimeEntry):
    """One year of a domain directly under a TLD (in ASCII, without the leading dot).

    `price` is that of the first year. Without them, a transfer costs what a registration does, a
    further year what the first one does, and an expired domain cannot be restored.
    """

    tld: Tld
    transfer_price: Amount | None = None
    transfer_price_in: dict[Currency, Amount] = Field(default_factory=dict)
    renewal_price: Amount | None = None
    renewal_price_in: dict[Currency, Amount] = Field(default_factory=dict)
    redemption_price: Amount | None = None
    redemption_price_in: dict[Currency, Amount] = Field(default_factory=dict)

    def amounts(self, currency: str) -> Iterator[EntryAmount]:
        """Yield the amounts; `currency` is the file's."""
        yield from super().amounts(currency)
        purpose: PricePurpose
        for purpose in get_args(PricePurpose):
            own = getattr(self, f"{purpose}_price")
            others = getattr(self, f"{purpose}_price_in")
            for code, path, amount in _by_currency(currency, f"{purpose}_price", own, others):
                if amount is not None:
                    yield EntryAmount(path, purpose, None, code, amount, purpose)

    @property
    def product_code(self) -> str:
        """A code distinct from those of plans: `business` may be a plan and a TLD."""
        return f"{DOMAIN_PREFIX}{self.tld}"


class FeeEntry(OneTimeEntry):
    """Any other one-time product."""

    code: Code

    @property
    def product_code(self) -> str:
        """The code by which it is referenced."""
        return self.code


class CouponEntry(Entry):
    """A discount on an order: a percentage, or an amount in the file's currency and in others.

    With `products` it is one on these plans and add-ons only. `minimum_amount`: of the order
    before the discount. `retention`: not for orders, but offered to customers who want to cancel.
    """

    code: CouponCode
    name: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    percent_off: Annotated[float, Field(gt=0, le=100)] | None = None
    amount_off: Sum | None = None
    amount_off_in: dict[Currency, Sum] = Field(default_factory=dict)
    duration: Literal["once", "repeating", "forever"] = "once"
    duration_in_months: Annotated[int, Field(gt=0, le=120)] | None = None
    max_redemptions: Limit | None = None
    max_per_customer: Limit | None = None
    expires_at: AwareDatetime | None = None
    products: Many[Code] = ()
    first_order_only: bool = False
    retention: bool = False
    minimum_amount: Sum | None = None
    minimum_amount_in: dict[Currency, Sum] = Field(default_factory=dict)

    def sums(self, currency: str) -> Iterator[tuple[str, Path, int]]:
        """Yield its sums of money: (currency, path, minor units); `currency` is the file's."""
        for field in ("amount_off", "minimum_amount"):
            own, others = getattr(self, field), getattr(self, f"{field}_in")
            for code, path, amount in _by_currency(currency, field, own, others):
                if amount is not None:
                    yield code, path, amount

    @property
    def has_amount(self) -> bool:
        """Whether it is about a sum of money, and so about one currency."""
        return self.amount_off is not None or self.minimum_amount is not None


AnyProductEntry = PlanEntry | AddonEntry | DomainEntry | FeeEntry


class CatalogueFile(Entry):
    """A whole catalogue; `currency` is that of every amount without its own.

    `tax_behavior` says whether prices contain the taxes, `tax_behavior_in` of a currency;
    `tax_code` is of the products without their own.
    """

    currency: Currency
    tax_behavior: TaxBehavior | None = None
    tax_behavior_in: dict[Currency, TaxBehavior] = Field(default_factory=dict)
    tax_code: TaxCode | None = None
    plans: Annotated[Many[PlanEntry], AfterValidator(is_not_empty)]
    addons: Many[AddonEntry] = ()
    domains: Many[DomainEntry] = ()
    fees: Many[FeeEntry] = ()
    coupons: Many[CouponEntry] = ()

    def products(self) -> Iterator[tuple[ProductKind, Path, AnyProductEntry]]:
        """Yield all products: (kind, path in the file, entry)."""
        sections: tuple[tuple[ProductKind, str, tuple[AnyProductEntry, ...]], ...] = (
            ("plan", "plans", self.plans),
            ("addon", "addons", self.addons),
            ("domain", "domains", self.domains),
            ("fee", "fees", self.fees),
        )
        for kind, section, entries in sections:
            for index, entry in enumerate(entries):
                yield kind, (section, index), entry
