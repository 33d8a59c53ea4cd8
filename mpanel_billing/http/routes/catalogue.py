"""The catalogue for the marketing site's older pages; responses can be cached.

Prices are in the currency of the query, else in the first of Accept-Currency that is sold in, else
in the catalogue's own.
"""

from collections.abc import Callable
from typing import TypeVar

from mpanel_billing.catalogue import bridge
from mpanel_billing.catalogue.currencies import choose_currency
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.errors import InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Call, Endpoints
from mpanel_billing.http.operation import ACCEPT_CURRENCY
from mpanel_billing.http.paths import Path
from mpanel_billing.http.schemas.base import CacheableResponse, CurrencyQuery
from mpanel_billing.http.schemas.catalogue import (
    PlansResponse,
    ProductResponse,
    ProductsQuery,
    ProductsResponse,
)

routes = Endpoints("catalogue")

Made = TypeVar("Made", bound=CacheableResponse)

_NO_CURRENCY = ("currency_not_sold", "invalid_request")


class ProductPath(Path):
    """A product, by its code."""

    id: str


@routes.endpoint(
    "GET",
    "/api/public/plans",
    limit="lookups",
    cached=True,
    by_currency=True,
    refusals={InvalidRequestError: _NO_CURRENCY},
)
async def list_plans(call: Call[None, CurrencyQuery]) -> PlansResponse:
    """Return the plans and the terms that each is sold for."""

    def plans(catalogue: Catalogue, currency: str) -> PlansResponse:
        return PlansResponse.model_validate(bridge.plans_body(catalogue, currency))

    return await _kept(call, "plans", plans)


@routes.endpoint(
    "GET",
    "/api/marketing-api/products/catalog",
    limit="lookups",
    cached=True,
    by_currency=True,
    refusals={InvalidRequestError: _NO_CURRENCY},
)
async def list_products(call: Call[None, ProductsQuery]) -> ProductsResponse:
    """Return plans and add-ons, all or those of one category."""
    category = call.query.category

    def products(catalogue: Catalogue, currency: str) -> ProductsResponse:
        return ProductsResponse.model_validate(bridge.products_body(catalogue, currency, category))

    return await _kept(call, f"category {category}", products)


@routes.endpoint(
    "GET",
    "/api/marketing-api/products/{id}",
    limit="lookups",
    cached=True,
    by_currency=True,
    refusals={
        InvalidRequestError: _NO_CURRENCY,
        NotFoundError: ("product_not_found",),
    },
)
async def get_product(call: Call[ProductPath, CurrencyQuery]) -> ProductResponse:
    """Return one plan or add-on, by its code."""
    code = call.path.id

    def product(catalogue: Catalogue, currency: str) -> ProductResponse:
        return ProductResponse.model_validate(bridge.product_body(catalogue, currency, code))

    return await _kept(call, f"product {code}", product)


async def _kept(
    call: Call[Path | None, CurrencyQuery], what: str, make: Callable[[Catalogue, str], Made]
) -> Made:
    """Return what is made of the catalogue in the currency of a request, or was made before."""
    kept = call.app[keys.CATALOGUE]
    asked, accepted = call.query.currency, call.request.headers.get(ACCEPT_CURRENCY, "")
    if asked is None and not accepted:
        return await kept.get((what, None), lambda found: make(found, found.currency))
    currency = choose_currency(await kept.get_catalogue(), asked, accepted)
    return await kept.get((what, currency), lambda found: make(found, currency))
