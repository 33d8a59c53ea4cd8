"""Bodies of the bridge: snake_case keys, prices in whole currency units."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mpanel_billing.http.schemas.base import CacheableResponse, CurrencyQuery


class ProductsQuery(CurrencyQuery):
    """Which products to return."""

    category: str | None = Field(None, description="Only products of this category.")


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class TermSchema(_Schema):
    """A term that a plan is sold for."""

    model_config = ConfigDict(alias_generator=to_camel)

    term: str
    label: str
    months: int
    price_id: str


class PlanSchema(_Schema):
    """A plan; a price is null if the plan is not sold for that term."""

    id: str
    name: str
    description: str | None
    monthly_price: float | None
    annual_price: float | None
    features: tuple[str, ...]
    billing: tuple[TermSchema, ...]


class PlansResponse(CacheableResponse):
    """The plans that are sold in `currency`; `currencies` are those that can be asked for."""

    plans: tuple[PlanSchema, ...]
    currency: str
    currencies: tuple[str, ...]


class UnitPriceSchema(_Schema):
    """What each unit costs up to so many in a term; null: any number."""

    up_to: int | None
    unit_price: float


class UsageSchema(_Schema):
    """What usage costs, billed after each term; `text` says it to a buyer."""

    unit: str
    included: int
    tiers: tuple[UnitPriceSchema, ...]
    text: str


class ProductSchema(_Schema):
    """A plan or an add-on; `billing_cycles` has only the terms that are on sale.

    With `usage` it costs nothing in advance.
    """

    id: str
    name: str
    category: str | None
    description: str | None
    billing_cycles: dict[str, float]
    features: tuple[str, ...]
    resources: dict[str, Any]
    usage: UsageSchema | None
    is_active: bool
    display_order: int


class CurrenciesSchema(_Schema):
    """The currency of the prices, and those that can be asked for."""

    currency: str
    currencies: tuple[str, ...]


class TotalSchema(CurrenciesSchema):
    """The number of products, and the currency of their prices."""

    total: int


class ProductsResponse(CacheableResponse):
    """Plans and add-ons."""

    success: Literal[True]
    data: tuple[ProductSchema, ...]
    meta: TotalSchema


class ProductResponse(CacheableResponse):
    """One plan or add-on."""

    success: Literal[True]
    data: ProductSchema
    meta: CurrenciesSchema
