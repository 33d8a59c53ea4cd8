"""What checkout and the older bridge answer. Their routes write it themselves, for speed.

The bridge's prices are whole units of the currency (7.99), and its names are with underscores.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from mpanel_billing.answers import Answer, Moment, Part


class PaymentPageAnswer(Answer):
    """Where the buyer pays, and by what to ask for the order afterwards."""

    url: str
    session_id: str
    subscription_id: str


class BridgePageAnswer(Answer):
    """Where the buyer pays; `id` is the session's."""

    url: str
    id: str


class SessionPart(Part):
    """The payment page, in Stripe's words."""

    status: str | None
    payment_status: str | None


class OrderedPart(Part):
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


class OrderTenantPart(Part):
    """The tenant that the order became."""

    id: str
    domain: str
    status: str | None


class OrderServicePart(Part):
    """A service of the order."""

    product_type: str
    state: str


class ProvisioningPart(Part):
    """How far what was bought has come."""

    state: Literal["awaiting_payment", "in_progress", "ready", "suspended", "ended", "not_ordered"]
    services: tuple[OrderServicePart, ...]


class ProgressAnswer(Answer):
    """What became of an order; nothing by which a person is known."""

    session_id: str
    status: str
    session: SessionPart
    subscription: OrderedPart
    tenant: OrderTenantPart | None
    provisioning: ProvisioningPart
    login_url: str


class _BridgePart(BaseModel):
    model_config = ConfigDict(frozen=True)


class TermPart(_BridgePart):
    """A term for which a plan is sold."""

    model_config = ConfigDict(alias_generator=to_camel)

    term: str
    label: str
    months: int
    price_id: str


class PlanPart(_BridgePart):
    """A plan; a price is null where the plan is not sold for that term."""

    id: str
    name: str
    description: str | None
    monthly_price: float | None
    annual_price: float | None
    features: tuple[str, ...]
    billing: tuple[TermPart, ...]


class PlansAnswer(_BridgePart):
    """The plans on sale."""

    plans: tuple[PlanPart, ...]


class ProductPart(_BridgePart):
    """A plan or an add-on; a term that is not sold has no price."""

    id: str
    name: str
    category: str | None
    description: str | None
    billing_cycles: dict[str, float]
    features: tuple[str, ...]
    resources: dict[str, Any]
    is_active: bool
    display_order: int


class TotalPart(_BridgePart):
    """How many there are."""

    total: int


class ProductsAnswer(_BridgePart):
    """Plans and add-ons."""

    success: Literal[True]
    data: tuple[ProductPart, ...]
    meta: TotalPart


class ProductAnswer(_BridgePart):
    """One plan or add-on."""

    success: Literal[True]
    data: ProductPart
