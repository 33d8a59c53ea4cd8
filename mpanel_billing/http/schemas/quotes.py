"""Bodies of POST /api/checkout/quote and GET /api/public/domains/check.

Amounts are minor units of the currency beside them.
"""

from typing import Annotated, Self

from pydantic import Field

from mpanel_billing.catalogue.domain_pricing import domain_amount
from mpanel_billing.catalogue.model import Price, TaxBehavior
from mpanel_billing.catalogue.order import DomainMode, OrderedDomain, OrderLine, PricedDomain, When
from mpanel_billing.catalogue.usage import Usage, describe_usage, plain
from mpanel_billing.checkout.quotes import Availability, CheckedDomain, Quote, QuotedTax
from mpanel_billing.http.schemas.base import CurrencyQuery, Response, Schema


class TierSchema(Schema):
    """What each unit costs up to so many in a term; null: any number."""

    up_to: int | None
    unit_amount: str = Field(description="A decimal number of minor units, such as `2.5`.")


class UsagePriceSchema(Schema):
    """What usage costs, billed after each term; `text` says it to a buyer."""

    meter: str
    unit: str
    included: int
    tiers: tuple[TierSchema, ...]
    text: str

    @classmethod
    def of(cls, usage: Usage, price: Price) -> Self:
        """Build the object from how an add-on is metered, and its price."""
        return cls(
            meter=usage.meter,
            unit=usage.unit,
            included=usage.included,
            tiers=tuple(
                TierSchema(up_to=tier.up_to, unit_amount=plain(tier.unit_amount))
                for tier in price.tiers
            ),
            text=describe_usage(usage, price.tiers, price.currency),
        )


class QuotedLineSchema(Schema):
    """A line of the first paid invoice; `recurring` ones are charged every term.

    One with `usage` costs nothing in advance.
    """

    code: str
    name: str
    quantity: int
    amount: int
    recurring: bool
    when: When
    usage: UsagePriceSchema | None

    @classmethod
    def of(cls, line: OrderLine) -> Self:
        """Build the object from a line of the order."""
        return cls(
            code=line.code,
            name=line.name,
            quantity=line.quantity,
            amount=line.amount,
            recurring=line.recurring,
            when=line.when,
            usage=UsagePriceSchema.of(line.usage, line.price) if line.usage else None,
        )


class QuotedDomainSchema(Schema):
    """A domain of the order: `name` in ASCII.

    `first_year` is 0 if the term includes it. The amounts are null for one that the buyer has
    already, `redemption` also if it is not offered.
    """

    name: str
    unicode_name: str
    mode: DomainMode
    availability: Availability
    first_year: int | None = None
    renewal: int | None = None
    redemption: int | None = None

    @classmethod
    def of(
        cls, domain: OrderedDomain, availability: Availability, priced: PricedDomain | None
    ) -> Self:
        """Build the object from a domain and what it costs, if it is sold."""
        return cls(
            name=domain.ascii,
            unicode_name=domain.unicode,
            mode=domain.mode,
            availability=availability,
            first_year=priced.first_year if priced else None,
            renewal=priced.renewal if priced else None,
            redemption=priced.redemption if priced else None,
        )


class QuotedTaxSchema(Schema):
    """The taxes of the first invoice that is paid.

    With `behavior` `inclusive` all amounts contain them, with `exclusive` they are added: `total`
    is what is paid. Both amounts are null without a `place`. A tax id that is not sent may change
    them on the payment page.
    """

    behavior: TaxBehavior | None
    amount: int | None
    total: int | None

    @classmethod
    def of(cls, tax: QuotedTax) -> Self:
        """Build the object from the taxes of a quote."""
        taxed = tax.taxed
        return cls(
            behavior=tax.behavior,
            amount=taxed.tax if taxed else None,
            total=taxed.total if taxed else None,
        )


class QuoteResponse(Response):
    """What an order would cost: `due_today` or, with a trial, `due_after_trial`; then `per_term`.

    `per_term` is before discounts. The amounts are those of the catalogue: `tax` says whether taxes
    are in them, and is null if none are computed.
    """

    currency: str
    billing_cycle: str
    lines: tuple[QuotedLineSchema, ...]
    coupon: str | None
    discount: int
    trial_days: int
    due_today: int
    due_after_trial: int
    per_term: int
    tax: QuotedTaxSchema | None
    domains: tuple[QuotedDomainSchema, ...]

    @classmethod
    def of(cls, quote: Quote) -> Self:
        """Build the response from a quote."""
        priced = quote.priced
        costs = {domain.ascii: domain for domain in priced.domains}
        return cls(
            currency=priced.currency,
            billing_cycle=priced.billing_cycle,
            lines=tuple(map(QuotedLineSchema.of, priced.lines)),
            coupon=priced.coupon.name if priced.coupon else None,
            discount=priced.discount,
            trial_days=priced.trial_days,
            due_today=priced.due_today,
            due_after_trial=priced.due_after_trial,
            per_term=priced.recurring_total,
            tax=QuotedTaxSchema.of(quote.tax) if quote.tax else None,
            domains=tuple(
                QuotedDomainSchema.of(domain, availability, costs.get(domain.ascii))
                for domain, availability in quote.domains
            ),
        )


class DomainQuery(CurrencyQuery):
    """A domain, in ASCII or Unicode."""

    name: Annotated[str, Field(max_length=253, description="For example `bücher.de`.")]


class DomainCheckResponse(Response):
    """Whether a domain can be ordered; the amounts are null if domains like it are not sold."""

    name: str
    unicode_name: str
    availability: Availability
    currency: str
    first_year: int | None
    transfer: int | None
    renewal: int | None
    redemption: int | None

    @classmethod
    def of(cls, checked: CheckedDomain) -> Self:
        """Build the response from what was found."""
        product, currency = checked.product, checked.currency
        return cls(
            name=checked.domain.ascii,
            unicode_name=checked.domain.unicode,
            availability=checked.availability,
            currency=currency,
            first_year=domain_amount(product, currency) if product else None,
            transfer=domain_amount(product, currency, "transfer") if product else None,
            renewal=domain_amount(product, currency, "renewal") if product else None,
            redemption=domain_amount(product, currency, "redemption") if product else None,
        )
