"""Bodies of /api/billing/domains. Amounts are in minor units, times in UTC."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from mpanel_billing import money
from mpanel_billing.checkout.cart import DomainChoice
from mpanel_billing.domains.repository.names import DomainMode
from mpanel_billing.domains.repository.owned import OwnedDomain, Year
from mpanel_billing.domains.repository.renewals import RenewalState
from mpanel_billing.http.schemas.base import (
    ONLY_NUMBERS,
    Moment,
    OwnerRequest,
    PageQuery,
    Response,
    Schema,
    StrictRequest,
)
from mpanel_billing.http.schemas.checkout import AuthCode, DomainName
from mpanel_billing.http.schemas.quotes import QuotedDomainSchema
from mpanel_billing.subscriptions.replaced_domains import QuotedName

Price = Annotated[int, Field(ge=0, le=money.LARGEST_AMOUNT), ONLY_NUMBERS]


class DomainsQuery(PageQuery):
    """The domains of a customer, or of the tenant of one of their subscriptions."""

    subscription_id: UUID | None = None


class RenewRequest(OwnerRequest):
    """That the customer wants the year that follows, for the `renewalPrice` that they saw."""

    renewal_price: Price | None = None


class AutoRenewRequest(RenewRequest):
    """Whether further years are charged, each for the `renewalPrice` that the customer saw."""

    auto_renew: Annotated[bool, Field(strict=True)]


class ReleaseRequest(OwnerRequest):
    """The customer whose domain it is."""


class ChosenDomainSchema(StrictRequest):
    """A domain, and how its customer gets it; `authCode` is for a transfer."""

    mode: DomainMode
    value: DomainName
    auth_code: AuthCode = None


class PreviewReplacementRequest(OwnerRequest):
    """The domain that the customer thinks of in place of the lost one."""

    domain: ChosenDomainSchema

    def to_choice(self) -> DomainChoice:
        """Return the domain for the service."""
        chosen = self.domain
        return DomainChoice(chosen.mode, chosen.value, chosen.auth_code)


class ReplaceRequest(PreviewReplacementRequest):
    """The domain that they choose, for the `firstYear` that they saw."""

    first_year: Price | None = None


class MoveRequest(OwnerRequest):
    """The subscription of the same customer whose tenant gets the domain."""

    subscription_id: UUID


class YearSchema(Schema):
    """A year that is charged by itself: `of` is the day of expiry that it moves.

    `of` is null for the first one of a domain that was chosen in place of a lost one. It is given
    up at `payBy`.
    """

    of: date | None
    state: RenewalState
    amount: int
    pay_by: Moment
    invoice_id: UUID | None

    @classmethod
    def of_year(cls, year: Year) -> Self:
        """Build the object from a renewal."""
        return cls(**{name: getattr(year, name) for name in cls.model_fields})


class OwnedDomainSchema(Schema):
    """A domain that a customer has, or had; `name` is in ASCII.

    `renewalPrice` is what they were told that a further year costs, or, if nobody has told them,
    what it costs by the catalogue. `comingPrice` counts from `comingPriceFrom`. `latestYear` is how
    far the latest further year is. `needs`: what the registrar needs to be told. `replaceable`: it
    could not be obtained, and another one can be chosen; `replacedById` is that, and `replacesId`
    of that one is this.
    """

    id: UUID
    name: str
    unicode_name: str
    mode: str
    state: str
    customer_id: UUID | None
    subscription_id: UUID | None
    registered_at: Moment | None
    expires_at: Moment | None
    auto_renew: bool
    currency: str | None
    renewal_price: int | None
    coming_price: int | None
    coming_price_from: Moment | None
    needs: list[str]
    replaceable: bool
    replaces_id: UUID | None
    replaced_by_id: UUID | None
    latest_year: YearSchema | None

    @classmethod
    def of(cls, domain: OwnedDomain) -> Self:
        """Build the object from a domain."""
        own = {"renewal_price", "needs", "latest_year"}
        told = domain.told_price
        return cls(
            **{name: getattr(domain, name) for name in cls.model_fields.keys() - own},
            renewal_price=domain.listed_price if told is None else told,
            needs=list(domain.needs),
            latest_year=YearSchema.of_year(domain.year) if domain.year else None,
        )


class DomainsResponse(Response):
    """A page of domains, newest first."""

    domains: list[OwnedDomainSchema]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Sequence[OwnedDomain], cursor: str | None) -> Self:
        """Build the page."""
        return cls(domains=[OwnedDomainSchema.of(domain) for domain in page], next_cursor=cursor)


class DomainResponse(Response):
    """A domain, as it is now."""

    domain: OwnedDomainSchema

    @classmethod
    def of(cls, domain: OwnedDomain) -> Self:
        """Build the response."""
        return cls(domain=OwnedDomainSchema.of(domain))


class ReplacementQuoteResponse(Response):
    """What a domain would cost in place of the lost one, in minor units before taxes."""

    currency: str
    domain: QuotedDomainSchema

    @classmethod
    def of(cls, quoted: QuotedName) -> Self:
        """Build the response from a quote."""
        named = QuotedDomainSchema.of(quoted.domain, quoted.availability, quoted.priced)
        return cls(currency=quoted.currency, domain=named)


class AuthCodeResponse(Response):
    """The code for the transfer to another registrar; null: the registrar sends it to the owner."""

    domain: OwnedDomainSchema
    auth_code: str | None
