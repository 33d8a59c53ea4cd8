"""The bodies that clients post to order something, as they send them.

Two shapes are in use at `create-session`: one names everything in fields of its own, the other
in a cart; both may be mixed. Keys that we do not know are ignored, and so is every price.
"""

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mpanel_billing.catalogue.order import DomainMode
from mpanel_billing.checkout.buyer import (
    LONGEST_EMAIL,
    Address,
    Buyer,
    normalise_country,
    normalise_email,
)

MAX_CART_ITEMS = 50

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "customer": "your name and e-mail address",
        "customer.name": "your name",
        "customer.email": "your e-mail address",
        "customer.phone": "your phone number",
        "customer.company": "your company's name",
        "customer.address1": "your address",
        "customer.address2": "your address",
        "customer.city": "your city",
        "customer.state": "your state",
        "customer.postcode": "your postcode",
        "customer.country": "your country",
        "domain.mode": "your domain",
        "domain.value": "your domain",
        "couponCode": "the coupon",
        "email": "your e-mail address",
    }
)
"""How buyers call the fields that they fill in."""


_ONE_LINE = r"^[^\u0000-\u001F\u007F-\u009F\u2028\u2029]*$"
"""What can be said of the same in a schema."""

_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of what breaks a line, or cannot be written at all."""


def _refuse_control_characters(text: str) -> str:
    if any(unicodedata.category(character) in _BREAKING for character in text):
        msg = "must be a single line of text"
        raise ValueError(msg)
    return text


def _blank_is_absent(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Line = Annotated[
    str, AfterValidator(_refuse_control_characters), Field(json_schema_extra={"pattern": _ONE_LINE})
]
Absent = BeforeValidator(_blank_is_absent)
"""Forms send "" or null for what was left out."""

Id = Annotated[Line, Field(min_length=1, max_length=100)]
OptionalId = Annotated[Annotated[Line, Field(max_length=100)] | None, Absent]
Text = Annotated[Annotated[Line, Field(max_length=255)] | None, Absent]
City = Annotated[Annotated[Line, Field(max_length=100)] | None, Absent]
Postcode = Annotated[Annotated[Line, Field(max_length=20)] | None, Absent]
Phone = Annotated[Annotated[Line, Field(max_length=50)] | None, Absent]
Country = Annotated[Annotated[str, AfterValidator(normalise_country)] | None, Absent]
Email = Annotated[str, Field(max_length=LONGEST_EMAIL), AfterValidator(normalise_email)]
DomainName = Annotated[str, Field(max_length=253)]
ReturnUrl = Annotated[Annotated[str, Field(max_length=2000)] | None, Absent]


class _Body(BaseModel):
    model_config = ConfigDict(
        extra="ignore", frozen=True, str_strip_whitespace=True, alias_generator=to_camel
    )


class CustomerFields(_Body):
    """Who orders. mPanel's columns set the lengths."""

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

    def to_buyer(self) -> Buyer:
        """Return the buyer without the form."""
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
        )


class DomainFields(_Body):
    """The domain of the order; with mode `later` its value says nothing."""

    mode: DomainMode
    value: DomainName = ""


class CartItem(_Body):
    """One line of the cart: which of the keys are there depends on its type."""

    type: Literal["hosting", "domain", "simple", "addon", "email"]
    id: OptionalId = None
    quantity: int = 1
    plan: OptionalId = None
    term: OptionalId = None
    trial: bool | None = None
    price_id: OptionalId = None
    domain: DomainName = ""


class OrderFields(_Body):
    """What is ordered, in either shape."""

    plan_id: OptionalId = None
    billing_cycle: OptionalId = None
    currency: OptionalId = None
    trial_active: bool | None = None
    addon_ids: Annotated[tuple[Id, ...], Field(max_length=MAX_CART_ITEMS)] = ()
    coupon_code: OptionalId = None
    domain: DomainFields | None = None
    cart_items: Annotated[tuple[CartItem, ...], Field(max_length=MAX_CART_ITEMS)] = ()


class CheckoutRequest(OrderFields):
    """The body of `POST /api/checkout/create-session`.

    `customer_id` names a customer of our books, and is for mPanel's backend alone.
    """

    customer: CustomerFields
    customer_id: UUID | None = None
    success_url: ReturnUrl = Field(default=None, alias="success_url")
    cancel_url: ReturnUrl = Field(default=None, alias="cancel_url")


class BridgeRequest(_Body):
    """The body of `POST /api/public/checkout`: a plan, a term and an e-mail address."""

    plan_id: Id
    term: Id
    email: Email
    success_url: ReturnUrl = None
    cancel_url: ReturnUrl = None
