"""What a buyer asks for, in canonical values, and what it costs."""

from dataclasses import dataclass
from typing import Literal

from mpanel_billing.catalogue.model import Coupon, Price, Product, ProductKind

DomainMode = Literal["new-or-transfer", "register", "transfer", "existing", "subdomain", "later"]
When = Literal["at_checkout", "after_trial"]


@dataclass(frozen=True, slots=True)
class OrderedDomain:
    """A domain in an order: its ASCII (IDNA) form for machines, the Unicode one for people."""

    mode: DomainMode
    ascii: str
    unicode: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order in canonical values: our cycle words, lower-case currency, checked domains.

    The first of `domains` is the order's own; the others are extra lines. `addon_codes` and
    `domains` may repeat: the same thing is bought once.
    """

    plan_code: str
    billing_cycle: str
    currency: str
    trial: bool = False
    addon_codes: tuple[str, ...] = ()
    domains: tuple[OrderedDomain, ...] = ()
    coupon_code: str | None = None


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One thing that is charged: `amount` minor units of the price's currency.

    `recurring` lines are charged again every term, the others once. `domain` is the ASCII name
    that a domain line is about.
    """

    code: str
    kind: ProductKind
    name: str
    price: Price
    recurring: bool
    when: When
    domain: str | None = None
    quantity: int = 1

    @property
    def amount(self) -> int:
        """What the line costs before any discount."""
        return self.price.unit_amount * self.quantity


@dataclass(frozen=True, slots=True)
class PricedOrder:
    """An order and its price; all sums are minor units of `currency`.

    `subtotal` - `discount` is what the first paid invoice comes to: `due_today` without a
    trial, `due_after_trial` with one (`trial_days` > 0), the other being 0. `recurring_total`
    is what each term costs before discounts. `free_domain` is the Unicode name of the domain
    that the term includes.
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

    @property
    def subtotal(self) -> int:
        """All lines, before the discount."""
        return sum(line.amount for line in self.lines)

    @property
    def total(self) -> int:
        """All lines, less the discount: the sum of the first paid invoice."""
        return self.subtotal - self.discount

    @property
    def due_today(self) -> int:
        """What is charged when the checkout is done: nothing under a trial."""
        return 0 if self.trial_days else self.total

    @property
    def due_after_trial(self) -> int:
        """What is charged when the trial ends."""
        return self.total if self.trial_days else 0

    @property
    def recurring_total(self) -> int:
        """What each term costs, before discounts."""
        return sum(line.amount for line in self.lines if line.recurring)
