"""An order in canonical values, and its price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr

from mpanel_billing.catalogue.model import Coupon, Price, Product, ProductKind
from mpanel_billing.catalogue.usage import Usage

DomainMode = Literal["new-or-transfer", "register", "transfer", "existing", "subdomain", "later"]
When = Literal["at_checkout", "after_trial"]


@dataclass(frozen=True, slots=True)
class OrderedDomain:
    """A domain in an order, in ASCII (IDNA) for machines and in Unicode for people.

    `auth_code` is for its transfer. It does not make another order: a corrected one is the same.
    """

    mode: DomainMode
    ascii: str
    unicode: str
    auth_code: SecretStr | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Order:
    """An order in canonical values: our cycle codes, lower-case currency, checked domains.

    The first of `domains` is the site's own; the others are extra lines. Repeated `addon_codes`
    and `domains` are bought once. `quantities` are those of plan and add-ons by code, of others
    there is one.
    """

    plan_code: str
    billing_cycle: str
    currency: str
    trial: bool = False
    addon_codes: tuple[str, ...] = ()
    domains: tuple[OrderedDomain, ...] = ()
    coupon_code: str | None = None
    quantities: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line item; `amount` is in minor units of the price's currency.

    `recurring` lines are charged every term, the others once. `domain` is the ASCII name of a
    domain line.
    """

    code: str
    kind: ProductKind
    name: str
    price: Price
    recurring: bool
    when: When
    domain: str | None = None
    quantity: int = 1
    usage: Usage | None = None

    @property
    def metered(self) -> bool:
        """Whether it is billed by usage, after each term: it has no quantity then."""
        return bool(self.price.tiers)

    @property
    def amount(self) -> int:
        """What the line costs before any discount."""
        return self.price.unit_amount * self.quantity


@dataclass(frozen=True, slots=True)
class PricedDomain:
    """What a registered or transferred domain costs, in minor units of the order's currency.

    `first_year` is 0 for one that the term includes; `net` is that less its share of the
    discount. `renewal`: each further year; None: it has no
    price in that currency. `redemption`: what it costs to have it back after it has expired; None:
    that is not offered.
    """

    ascii: str
    unicode: str
    mode: DomainMode
    first_year: int
    net: int
    renewal: int | None
    redemption: int | None


@dataclass(frozen=True, slots=True)
class PricedOrder:
    """An order and its price; all amounts are in minor units of `currency`.

    `subtotal` - `discount` is the total of the first paid invoice: `due_today` without a trial,
    `due_after_trial` with one (`trial_days` > 0); the other is 0. `recurring_total` is the price
    of each term before discounts. `free_domain` is the Unicode name of the domain that the term
    includes. `domains` are those that are registered or transferred.
    """

    plan: Product
    billing_cycle: str
    currency: str
    lines: tuple[OrderLine, ...]
    coupon: Coupon | None
    discount: int
    trial_days: int
    product_types: tuple[str, ...]
    free_domain: str | None
    domains: tuple[PricedDomain, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether it is sold to a limited number of orders, of anyone or of one customer."""
        counted = self.coupon is not None and self.coupon.counted
        return counted or self.plan.max_per_customer is not None

    @property
    def metered(self) -> bool:
        """Whether something of it is billed by usage: Stripe counts that for a customer."""
        return any(line.metered for line in self.lines)

    @property
    def subtotal(self) -> int:
        """All lines, before the discount."""
        return sum(line.amount for line in self.lines)

    @property
    def total(self) -> int:
        """All lines, less the discount: the total of the first paid invoice."""
        return self.subtotal - self.discount

    @property
    def due_today(self) -> int:
        """What is charged at checkout: nothing with a trial."""
        return 0 if self.trial_days else self.total

    @property
    def due_after_trial(self) -> int:
        """What is charged when the trial ends."""
        return self.total if self.trial_days else 0

    @property
    def recurring_total(self) -> int:
        """What each term costs, before discounts."""
        return sum(line.amount for line in self.lines if line.recurring)
