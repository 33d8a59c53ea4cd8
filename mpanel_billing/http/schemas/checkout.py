"""Bodies of /api/checkout and of the older /api/public/checkout.

Clients post orders to `create-session` in two shapes: one has separate fields, the other a cart;
they may be mixed. Prices in them are ignored.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from mpanel_billing.catalogue.order import DomainMode
from mpanel_billing.checkout.buyer import Address, Buyer, Place, normalise_country
from mpanel_billing.checkout.cart import CartItem, DomainChoice, Selection
from mpanel_billing.checkout.payment_page import PaymentPage
from mpanel_billing.checkout.tax_ids import TaxId, normalise_type
from mpanel_billing.domains.auth_codes import LONGEST_AUTH_CODE
from mpanel_billing.http.schemas.base import (
    Absent,
    Email,
    Id,
    Line,
    OptionalId,
    Request,
    Response,
)

MAX_CART_ITEMS = 50

Text = Annotated[Annotated[Line, Field(max_length=255)] | None, Absent]
City = Annotated[Annotated[Line, Field(max_length=100)] | None, Absent]
Postcode = Annotated[Annotated[Line, Field(max_length=20)] | None, Absent]
Phone = Annotated[Annotated[Line, Field(max_length=50)] | None, Absent]
Country = Annotated[Annotated[str, AfterValidator(normalise_country)] | None, Absent]
DomainName = Annotated[str, Field(max_length=253)]
AuthCode = Annotated[
    Annotated[
        SecretStr,
        Field(
            max_length=LONGEST_AUTH_CODE,
            description="Of a transfer: the code from the registrar that has the domain.",
        ),
    ]
    | None,
    Absent,
]
ReturnUrl = Annotated[Annotated[str, Field(max_length=2000)] | None, Absent]


class _Form(Request):
    model_config = ConfigDict(
        extra="ignore", frozen=True, str_strip_whitespace=True, alias_generator=to_camel
    )
    labels: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "customer": "your name and email address",
            "customer.name": "your name",
            "customer.email": "your email address",
            "customer.phone": "your phone number",
            "customer.company": "your company name",
            "customer.address1": "your address",
            "customer.address2": "your address",
            "customer.city": "your city",
            "customer.state": "your state",
            "customer.postcode": "your postcode",
            "customer.country": "your country",
            "customer.taxId": "your tax id",
            "customer.taxId.type": "the type of your tax id",
            "customer.taxId.value": "your tax id",
            "taxId.type": "the type of your tax id",
            "taxId.value": "your tax id",
            "domain.mode": "your domain",
            "domain.value": "your domain",
            "couponCode": "your coupon code",
            "email": "your email address",
        }
    )


class TaxIdSchema(_Form):
    """A tax id of a business: Stripe's `type`, such as `eu_vat`, and the id."""

    type: Annotated[str, Field(max_length=20), AfterValidator(normalise_type)]
    value: Annotated[Line, Field(min_length=1, max_length=100)]

    def to_tax_id(self) -> TaxId:
        """Return it for checkout."""
        return TaxId(self.type, self.value)


class CustomerSchema(_Form):
    """The buyer. The lengths are those of mPanel's columns."""

    name: Annotated[Line, Field(min_length=1, max_length=200)]
    email: Email
    phone: Phone = None
    company: Text = None
    address1: Text = None
    address2: Text = None
    city: City = None
    state: City = None
    postcode: Postcode = None
    country: Country = None
    tax_id: Annotated[TaxIdSchema | None, Absent] = None

    def to_buyer(self) -> Buyer:
        """Return the buyer for checkout."""
        return Buyer(
            email=self.email,
            name=self.name,
            phone=self.phone,
            company=self.company,
            address=Address(
                line1=self.address1,
                line2=self.address2,
                city=self.city,
                state=self.state,
                postcode=self.postcode,
                country=self.country,
            ),
            tax_id=self.tax_id.to_tax_id() if self.tax_id else None,
        )


class DomainSchema(_Form):
    """The order's domain; with mode `later`, `value` is ignored."""

    mode: DomainMode
    value: DomainName = ""
    auth_code: AuthCode = None


class CartItemSchema(_Form):
    """One line of the cart; `type` decides which of the other keys it has."""

    type: Literal["hosting", "domain", "simple", "addon", "email"]
    id: OptionalId = None
    quantity: int = 1
    plan: OptionalId = None
    term: OptionalId = None
    trial: bool | None = None
    price_id: OptionalId = None
    domain: DomainName = ""
    auth_code: AuthCode = None

    def to_item(self) -> CartItem:
        """Return the item for checkout."""
        return CartItem(**{name: getattr(self, name) for name in type(self).model_fields})


class _Wish(_Form):
    """What is ordered, in either shape.

    `customerId` names an existing customer; only mPanel's backend may send it.
    """

    plan_id: OptionalId = None
    billing_cycle: OptionalId = None
    currency: OptionalId = Field(
        default=None,
        description="Such as `eur`; by default that of the customer, else of the catalogue.",
    )
    trial_active: bool | None = None
    addon_ids: Annotated[tuple[Id, ...], Field(max_length=MAX_CART_ITEMS)] = ()
    coupon_code: OptionalId = None
    domain: DomainSchema | None = None
    cart_items: Annotated[tuple[CartItemSchema, ...], Field(max_length=MAX_CART_ITEMS)] = ()
    quantities: Annotated[
        dict[Id, int],
        Field(
            max_length=MAX_CART_ITEMS,
            description="How many of the plan or of an add-on, by its id; 1 of what is not named.",
        ),
    ] = Field(default_factory=dict)
    customer_id: UUID | None = None

    def to_selection(self) -> Selection:
        """Return the selection for checkout."""
        return Selection(
            plan_id=self.plan_id,
            billing_cycle=self.billing_cycle,
            currency=self.currency,
            trial=self.trial_active,
            addon_ids=self.addon_ids,
            coupon_code=self.coupon_code,
            domain=DomainChoice(self.domain.mode, self.domain.value, self.domain.auth_code)
            if self.domain
            else None,
            cart=tuple(item.to_item() for item in self.cart_items),
            quantities=self.quantities,
        )


class PlaceSchema(_Form):
    """Where the buyer is taxed. In the United States taxes depend on the postcode."""

    country: Annotated[str, AfterValidator(normalise_country)]
    state: City = None
    postcode: Postcode = None

    def to_place(self) -> Place:
        """Return the place for checkout."""
        return Place(self.country, self.state, self.postcode)


class QuoteRequest(_Wish):
    """What is ordered, and where from: with a `place` taxes are quoted, if there are any.

    `taxId` is that of a business there, as an order has it in `customer`.
    """

    place: PlaceSchema | None = None
    tax_id: TaxIdSchema | None = None


class CheckoutRequest(_Wish):
    """The body of `POST /api/checkout/create-session`.

    `place`: where the buyer was quoted the taxes, if these are added to the prices.
    """

    customer: CustomerSchema
    place: PlaceSchema | None = None
    success_url: ReturnUrl = Field(default=None, alias="success_url")
    cancel_url: ReturnUrl = Field(default=None, alias="cancel_url")


class BridgeCheckoutRequest(_Form):
    """The body of `POST /api/public/checkout`: a plan, a term and an email address.

    `place`: where the buyer was quoted the taxes, if these are added to the prices.
    """

    plan_id: Id
    term: Id
    currency: OptionalId = None
    email: Email
    place: PlaceSchema | None = None
    success_url: ReturnUrl = None
    cancel_url: ReturnUrl = None


class PaymentPageResponse(Response):
    """Where the buyer pays, and the ids to follow the order by."""

    url: str
    session_id: str
    subscription_id: str

    @classmethod
    def of(cls, page: PaymentPage) -> Self:
        """Build the response from the payment page."""
        return cls(
            url=page.url, session_id=page.session_id, subscription_id=str(page.subscription_id)
        )


class BridgePaymentPageResponse(Response):
    """Where the buyer pays; `id` is the session's."""

    url: str
    id: str
