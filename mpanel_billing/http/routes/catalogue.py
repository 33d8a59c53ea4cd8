"""The catalogue for the marketing site's older pages; responses can be cached."""

from mpanel_billing.catalogue import bridge
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.errors import NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Call, Endpoints
from mpanel_billing.http.request import Path
from mpanel_billing.http.schemas.catalogue import (
    PlansResponse,
    ProductResponse,
    ProductsQuery,
    ProductsResponse,
)

routes = Endpoints("catalogue")


class ProductPath(Path):
    """A product, by its code."""

    id: str


@routes.endpoint("GET", "/api/public/plans", limit="lookups", cached=True)
async def list_plans(call: Call) -> PlansResponse:
    """Return the plans and the terms that each is sold for."""
    return await call.app[keys.CATALOGUE].get(PlansResponse, _plans)


def _plans(catalogue: Catalogue) -> PlansResponse:
    return PlansResponse.model_validate(bridge.plans_body(catalogue))


@routes.endpoint("GET", "/api/marketing-api/products/catalog", limit="lookups", cached=True)
async def list_products(call: Call[None, ProductsQuery]) -> ProductsResponse:
    """Return plans and add-ons, all or those of one category."""
    category = call.query.category

    def products(catalogue: Catalogue) -> ProductsResponse:
        return ProductsResponse.model_validate(bridge.products_body(catalogue, category))

    return await call.app[keys.CATALOGUE].get((ProductsResponse, category), products)


@routes.endpoint(
    "GET",
    "/api/marketing-api/products/{id}",
    limit="lookups",
    cached=True,
    refusals={NotFoundError: ("product_not_found",)},
)
async def get_product(call: Call[ProductPath]) -> ProductResponse:
    """Return one plan or add-on, by its code."""
    code = call.path.id

    def product(catalogue: Catalogue) -> ProductResponse:
        return ProductResponse.model_validate(bridge.product_body(catalogue, code))

    return await call.app[keys.CATALOGUE].get((ProductResponse, code), product)
