"""The marketing site's older bridge: what is sold, cacheable."""

import hashlib
import json
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.catalogue import bridge
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.errors import NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.answers.shop import PlansAnswer, ProductAnswer, ProductsAnswer
from mpanel_billing.http.openapi.operation import Operation, described
from mpanel_billing.http.query_string import read_query
from mpanel_billing.http.rate_limits import spend_allowance

routes = web.RouteTableDef()

CACHE_CONTROL = "public, no-cache"
"""Keep it, but ask each time whether it still holds: a changed catalogue shows at once."""


def _cacheable_answers(model: type[BaseModel]) -> dict[HTTPStatus, type[BaseModel] | None]:
    return {HTTPStatus.OK: model, HTTPStatus.NOT_MODIFIED: None}


class ProductsQuery(BaseModel):
    """Which products."""

    category: str | None = Field(None, description="Those of that category only.")


@routes.get("/api/public/plans")
@described(Operation("catalogue", _cacheable_answers(PlansAnswer), limited=True))
async def list_plans(request: web.Request) -> web.Response:
    """Answer with the plans and the terms for which each is sold."""
    return _cacheable(request, bridge.plans_answer(await _catalogue(request)))


@routes.get("/api/marketing-api/products/catalog")
@described(
    Operation("catalogue", _cacheable_answers(ProductsAnswer), query=ProductsQuery, limited=True)
)
async def list_products(request: web.Request) -> web.Response:
    """Answer with plans and add-ons, those of `?category=` only where it is given."""
    query = read_query(request, ProductsQuery)
    return _cacheable(request, bridge.products_answer(await _catalogue(request), query.category))


@routes.get("/api/marketing-api/products/{id}")
@described(
    Operation(
        "catalogue",
        _cacheable_answers(ProductAnswer),
        path={"id": str},
        limited=True,
        refusals={NotFoundError: ("product_not_found",)},
    )
)
async def get_product(request: web.Request) -> web.Response:
    """Answer with one plan or add-on, by its code."""
    code = request.match_info["id"]
    return _cacheable(request, bridge.product_answer(await _catalogue(request), code))


async def _catalogue(request: web.Request) -> Catalogue:
    await spend_allowance(request, "lookups")
    livemode = request.app[keys.SETTINGS].livemode
    return await read_catalogue(request.app[keys.POOL], livemode=livemode)


def _cacheable(request: web.Request, answer: bridge.Answer) -> web.Response:
    """Answer with JSON and its ETag, or 304 to who has that already."""
    body = json.dumps(answer, ensure_ascii=False).encode()
    etag = hashlib.sha256(body).hexdigest()[:32]
    known = request.if_none_match or ()
    if any(tag.value in {etag, "*"} for tag in known):
        response = web.Response(status=304)
    else:
        response = web.Response(body=body, content_type="application/json", charset="utf-8")
    response.etag = etag
    response.headers["Cache-Control"] = CACHE_CONTROL
    return response
