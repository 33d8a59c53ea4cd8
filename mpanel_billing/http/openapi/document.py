"""The OpenAPI document, built from the declarations of the routes, and the routes that serve it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any, Literal

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mpanel_billing import __version__
from mpanel_billing.http.access import PERSON, PERSON_HEADER
from mpanel_billing.http.endpoint import Endpoints
from mpanel_billing.http.openapi.json_schema import (
    Components,
    JsonSchema,
    Mode,
    schema_of_model,
    without_null,
)
from mpanel_billing.http.openapi.page import CONTENT_SECURITY_POLICY, render_page
from mpanel_billing.http.operation import (
    ACCEPT_CURRENCY,
    Body,
    Content,
    Operation,
    operation_of,
)

routes = Endpoints("documents")

_JSON = "application/json"
_KEY = "key"
_NO_CACHE = {"Cache-Control": "no-cache"}

_ABOUT = """\
The API of mPanel's billing backend.

Amounts are minor units (cents) of the currency given with them, times are ISO 8601 in UTC. \
Unknown keys in a request are ignored, and responses may gain keys. Every error has the shape of \
`ErrorResponse`. Each response has an `X-Request-Id`: the request's own if it sends a valid one."""

_ABOUT_KEY = "A key with the scope that the operation names; docs/access.md says how to get one."

_CURRENCIES: JsonSchema = {
    "type": "string",
    "description": "Currencies, the best first, such as `eur, usd`; the query goes before it.",
}
_ABOUT_PERSON = "Who acts behind the key, such as an id of mPanel's, for the audit log."

_TAGS = {
    "checkout": "Ordering and following an order, for the marketing site.",
    "catalogue": "What is on sale, for the marketing site's older pages.",
    "billing": "Subscriptions and invoices of customers, for mPanel's backend.",
    "admin": "For operators: the same as on the command line.",
    "webhooks": "For Stripe.",
    "monitoring": "For monitoring.",
    "documents": "This description.",
}


class ErrorResponse(BaseModel):
    """Every error, at every address."""

    model_config = ConfigDict(alias_generator=to_camel)

    success: Literal[False]
    error: str = Field(description="A sentence to show to people.")
    code: str = Field(description="A word for programs.")
    fields: dict[str, str] = Field(
        default={}, description="What is wrong with which field; left out if no field is."
    )
    request_id: str | None = Field(description="The request's id in the logs.")


class ApiDocument:
    """The document of an application, built when it is first requested."""

    def __init__(self, router: web.UrlDispatcher, app_url: str) -> None:
        """Describe the routes that `router` has by then; `app_url` is where they are."""
        self._router = router
        self._app_url = app_url

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """The document."""
        return make_document([*_declared(self._router)], self._app_url)

    @cached_property
    def json(self) -> bytes:
        """The document as JSON."""
        return orjson.dumps(self.content)

    @cached_property
    def page(self) -> str:
        """The document as a page for people."""
        return render_page(self.content)


DOCUMENT = web.AppKey("document", ApiDocument)


@routes.raw(
    "GET",
    "/openapi.json",
    {HTTPStatus.OK: Content(_JSON, "An OpenAPI document.")},
    operation_id="openapi_get_document",
)
async def get_document(request: web.Request) -> web.Response:
    """Return the description of this API, in OpenAPI 3.1."""
    document = request.app[DOCUMENT]
    return web.Response(body=document.json, content_type=_JSON, headers=_NO_CACHE)


@routes.raw(
    "GET",
    "/docs",
    {HTTPStatus.OK: Content("text/html", "A page.")},
    operation_id="openapi_get_page",
)
async def get_page(request: web.Request) -> web.Response:
    """Return the description of this API as a page."""
    document = request.app[DOCUMENT]
    headers = _NO_CACHE | {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return web.Response(text=document.page, content_type="text/html", headers=headers)


def _declared(router: web.UrlDispatcher) -> Iterator[Operation]:
    """Yield the declarations; routes without one (the shop of `dev`) are not in the API."""
    for route in router.routes():
        operation = operation_of(route.handler)
        if operation is not None and route.method != hdrs.METH_HEAD:
            yield operation


def make_document(operations: Sequence[Operation], app_url: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these operations."""
    components = Components([*_models(operations)])
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.address, {})[one.method.lower()] = _describe(one, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mPanel billing", "version": __version__, "description": _ABOUT},
        "servers": [{"url": app_url.rstrip("/")}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "securitySchemes": {
                _KEY: {"type": "http", "scheme": "bearer", "description": _ABOUT_KEY}
            },
        },
    }


def _models(operations: Sequence[Operation]) -> Iterator[tuple[type[BaseModel], Mode]]:
    yield ErrorResponse, "serialization"
    for operation in operations:
        for body in operation.responses.values():
            if isinstance(body, type):
                yield body, "serialization"
        if isinstance(operation.body, type):
            yield operation.body, "validation"


def _describe(operation: Operation, components: Components) -> dict[str, Any]:
    summary, _, more = operation.about.partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": summary,
        "description": more.strip(),
        "security": _security(operation),
        "parameters": [*_parameters(operation)],
        "responses": _responses(operation, components),
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": _content(operation.body, "validation", components),
        }
    return {name: value for name, value in described.items() if value or name == "security"}


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """Return the key and scope that an operation needs; empty if it needs none."""
    without_key: list[dict[str, list[str]]] = [{}] if operation.key_optional else []
    return [*without_key, {_KEY: [operation.scope]}] if operation.scope else []


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    places = {"path": operation.path, "query": operation.query, "header": operation.headers}
    for place, model in places.items():
        if model is None:
            continue
        schema = schema_of_model(model)
        for name, field in schema["properties"].items():
            required = name in schema.get("required", ())
            yield _parameter(place, name, without_null(field), required=required)
    if operation.by_currency:
        yield _parameter("header", ACCEPT_CURRENCY, _CURRENCIES, required=False)
    if operation.scope:
        person = {"type": "string", "pattern": f"^{PERSON}$", "description": _ABOUT_PERSON}
        yield _parameter("header", PERSON_HEADER, person, required=False)


def _parameter(place: str, name: str, schema: JsonSchema, *, required: bool) -> dict[str, Any]:
    schema = dict(schema)
    about = schema.pop("description", None)
    written: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": schema}
    return written | {"description": about} if about else written


def _responses(operation: Operation, components: Components) -> dict[str, Any]:
    responses = {
        str(status.value): {"description": _about(body, status)}
        | ({"content": _content(body, "serialization", components)} if body else {})
        for status, body in operation.responses.items()
    }
    for status, why in describe_refusals(operation).items():
        if status not in operation.responses:
            content = _content(ErrorResponse, "serialization", components)
            responses[str(status.value)] = {"description": why, "content": content}
    return responses


def describe_refusals(operation: Operation) -> Mapping[HTTPStatus, str]:
    """Return a sentence for each status that the operation refuses with, and its codes."""
    reasons: dict[HTTPStatus, dict[str, None]] = {}
    for error, codes in operation.all_refusals():
        words = ", ".join(f"`{code}`" for code in codes or (error.code,))
        why = (error.__doc__ or "").partition("\n")[0]
        reasons.setdefault(error.status, {})[f"{why.removesuffix('.')}: {words}."] = None
    return {status: " ".join(reasons[status]) for status in sorted(reasons)}


def _about(body: Body, status: HTTPStatus) -> str:
    if body is None:
        return status.description or status.phrase
    if isinstance(body, Content):
        return body.about
    return (body.__doc__ or status.phrase).partition("\n")[0]


def _content(body: type[BaseModel] | Content, mode: Mode, components: Components) -> dict[str, Any]:
    if isinstance(body, Content):
        schema = {"type": "object", "description": body.about}
        return {body.media_type: {"schema": schema} if body.media_type == _JSON else {}}
    return {_JSON: {"schema": components.reference(body, mode)}}
