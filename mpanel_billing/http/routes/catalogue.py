"""The catalogue for the marketing site's older pages; responses can be cached."""

from mpanel_billing.catalogue import bridge
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.service import read_catalogue
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
    return PlansResponse.model_validate(bridge.plans_body(await _catalogue(call)))


@routes.endpoint("GET", "/api/marketing-api/products/catalog", limit="lookups", cached=True)
async def list_products(call: Call[None, ProductsQuery]) -> ProductsResponse:
    """Return plans and add-ons, all or those of one category."""
    listed = bridge.products_body(await _catalogue(call), call.query.category)
    return ProductsResponse.model_validate(listed)


@routes.endpoint(
    "GET",
    "/api/marketing-api/products/{id}",
    limit="lookups",
    cached=True,
    refusals={NotFoundError: ("product_not_found",)},
)
async def get_product(call: Call[ProductPath]) -> ProductResponse:
    """Return one plan or add-on, by its code."""
    found = bridge.product_body(await _catalogue(call), call.path.id)
    return ProductResponse.model_validate(found)


async def _catalogue(call: Call[ProductPath | None, ProductsQuery | None]) -> Catalogue:
    livemode = call.app[keys.SETTINGS].livemode
    return await read_catalogue(call.app[keys.POOL], livemode=livemode)
