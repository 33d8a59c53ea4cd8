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
from mpanel_billing.checkout.order_watcher import LONGEST_WAIT_SECONDS
from mpanel_billing.checkout.repository.orders import OrderState
from mpanel_billing.checkout.sessions import PaymentPage
from mpanel_billing.checkout.tax_ids import TaxId, normalise_type
from mpanel_billing.domains.auth_codes import LONGEST_AUTH_CODE
from mpanel_billing.http.schemas.base import (
    Absent,
    Email,
    Id,
    Line,
    Moment,
    OptionalId,
    Request,
    Response,
    Schema,
)
from mpanel_billing.http.schemas.domain_proofs import DomainProofSchema

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
    """The body of `POST /api/checkout/create-session`."""

    customer: CustomerSchema
    success_url: ReturnUrl = Field(default=None, alias="success_url")
    cancel_url: ReturnUrl = Field(default=None, alias="cancel_url")


class BridgeCheckoutRequest(_Form):
    """The body of `POST /api/public/checkout`: a plan, a term and an email address."""

    plan_id: Id
    term: Id
    currency: OptionalId = None
    email: Email
    success_url: ReturnUrl = None
    cancel_url: ReturnUrl = None


class OrderQuery(Request):
    """How long the client is willing to wait."""

    wait: Annotated[
        int,
        Field(
            ge=0,
            le=LONGEST_WAIT_SECONDS,
            description="Seconds to hold the response until the order changes.",
        ),
    ] = 0


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


class SessionSchema(Schema):
    """The payment page: Stripe's `status` and `payment_status`.

    `amount_paid`: what was paid with the order, in minor units of the subscription's currency; null
    until it is.
    """

    status: str | None
    payment_status: str | None
    amount_paid: int | None


class OrderedSubscriptionSchema(Schema):
    """What was ordered; `amount` is in minor units, per term."""

    id: str
    status: str
    stripe_status: str | None
    plan_id: str | None
    plan_name: str | None
    billing_cycle: str | None
    currency: str
    amount: int
    current_period_end: Moment | None
    trial_end: Moment | None
    cancel_at_period_end: bool

    @classmethod
    def of(cls, state: OrderState) -> Self:
        """Build the object from the order's state."""
        return cls(
            id=str(state.subscription_id),
            status=state.status,
            stripe_status=state.stripe_status,
            plan_id=state.plan_code,
            plan_name=state.plan_name,
            billing_cycle=state.billing_cycle,
            currency=state.currency,
            amount=state.amount,
            current_period_end=state.current_period_end,
            trial_end=state.trial_end,
            cancel_at_period_end=state.cancel_at_period_end,
        )


class OrderTenantSchema(Schema):
    """The tenant that was provisioned for the order."""

    id: str
    domain: str
    status: str | None


class OrderServiceSchema(Schema):
    """A service of the order."""

    product_type: str
    state: str


class OrderDomainSchema(Schema):
    """A domain of the order (docs/domains.md); `failed`: it could not be had.

    `needs`: what its registrar needs and nobody has told: `auth_code`, or fields of the customer.
    `verifying`: its buyer has to do what `proof` says. `replaceable`: it could not be had, and its
    buyer may choose another one, in the panel of their account.
    """

    name: str
    unicode_name: str
    mode: str
    state: Literal[
        "ordered",
        "paid",
        "registering",
        "transferring",
        "verifying",
        "active",
        "renewing",
        "expired",
        "redemption",
        "transferred_out",
        "released",
        "failed",
    ]
    needs: tuple[str, ...]
    replaceable: bool
    proof: DomainProofSchema | None


class OrderProvisioningSchema(Schema):
    """The progress of provisioning."""

    state: Literal["awaiting_payment", "in_progress", "ready", "suspended", "ended", "not_ordered"]
    services: tuple[OrderServiceSchema, ...]

    @classmethod
    def of(cls, state: OrderState) -> Self:
        """Build the object from the order's state."""
        services = tuple(
            OrderServiceSchema(
                product_type=service["productType"],
                state=_SERVICE_STATES.get(service["state"], service["state"]),
            )
            for service in state.services
        )
        return cls(state=_PROVISIONING_STATES[state.status], services=services)


_PROVISIONING_STATES: Mapping[
    str,
    Literal["awaiting_payment", "in_progress", "ready", "suspended", "ended", "not_ordered"],
] = {
    "provisional": "awaiting_payment",
    "pending": "in_progress",
    "active": "ready",
    "suspended": "suspended",
    "cancelled": "ended",
    "expired": "not_ordered",
}
"""By the subscription's status."""

_SERVICE_STATES = {"absent": "in_progress"}


class OrderResponse(Response):
    """The state of an order.

    Anyone with the session's id may read it, so it has no name, address or email.
    """

    session_id: str
    status: str
    session: SessionSchema
    subscription: OrderedSubscriptionSchema
    tenant: OrderTenantSchema | None
    provisioning: OrderProvisioningSchema
    domains: tuple[OrderDomainSchema, ...]
    login_url: str = Field(description="Where customers log in: `MPANEL_LOGIN_URL`.")

    @classmethod
    def of(cls, state: OrderState, session_id: str, login_url: str) -> Self:
        """Build the response from the order's state."""
        tenant = state.tenant
        return cls(
            session_id=session_id,
            status=state.status,
            session=SessionSchema(
                status=state.session_status,
                payment_status=state.payment_status,
                amount_paid=state.amount_paid,
            ),
            subscription=OrderedSubscriptionSchema.of(state),
            tenant=OrderTenantSchema(id=str(tenant.id), domain=tenant.domain, status=tenant.status)
            if tenant
            else None,
            provisioning=OrderProvisioningSchema.of(state),
            domains=tuple(map(OrderDomainSchema.model_validate, state.domains)),
            login_url=login_url,
        )
