"""The OpenAPI document of an application: its router's routes, as their handlers describe them."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel

from mpanel_billing import __version__
from mpanel_billing.http.openapi.operation import Answer, Content, Operation, operation_of
from mpanel_billing.http.openapi.page import render_page
from mpanel_billing.http.openapi.refusal import ErrorAnswer, refusals_by_status
from mpanel_billing.http.openapi.schemas import (
    Components,
    Mode,
    Schema,
    schema_of_model,
    schema_of_type,
    without_null,
)

_JSON = "application/json"
_KEY = "key"

_ABOUT = """\
What the billing backend of mPanel answers to.

Sums are minor units of the currency beside them (cents), moments ISO 8601, in UTC. Keys of a
request that are not described are ignored, and answers may get new ones. Every error reads like \
`ErrorAnswer`. Each answer has an `X-Request-Id`, the request's own where it brings a sane one."""

_ABOUT_KEY = "A key with the scope that the operation names; docs/access.md says how to get one."

_TAGS = {
    "checkout": "Ordering, for the marketing site, and following the order.",
    "catalogue": "What is sold, for the marketing site's older pages.",
    "billing": "For mPanel's backend: what its customers subscribe to and have paid.",
    "admin": "For operators: what the command line does.",
    "webhooks": "For Stripe.",
    "monitoring": "For what watches the service.",
    "documents": "This description.",
}


@dataclass(frozen=True, slots=True)
class Described:
    """An operation at its place."""

    method: str
    path: str
    name: str
    text: str
    operation: Operation


class ApiDocument:
    """The document of an application, made when it is first asked for."""

    def __init__(self, router: web.UrlDispatcher, app_url: str) -> None:
        """Describe the routes that `router` has by then; `app_url` is where they are."""
        self._router = router
        self._app_url = app_url

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """The document."""
        return make_document([*_described_routes(self._router)], self._app_url)

    @cached_property
    def json(self) -> bytes:
        """The document as JSON."""
        return orjson.dumps(self.content)

    @cached_property
    def page(self) -> str:
        """The document as a page for people."""
        return render_page(self.content)


DOCUMENT = web.AppKey("document", ApiDocument)


def _described_routes(router: web.UrlDispatcher) -> Iterator[Described]:
    """Find what is described; what is not (the shop of `dev`) is no part of the API."""
    for route in router.routes():
        operation = operation_of(route.handler)
        if operation is None or route.resource is None or route.method == hdrs.METH_HEAD:
            continue
        module = route.handler.__module__.rpartition(".")[2]
        yield Described(
            route.method,
            route.resource.canonical,
            f"{module}_{route.handler.__name__}",
            inspect.getdoc(route.handler) or "",
            operation,
        )


def make_document(described: Sequence[Described], app_url: str) -> dict[str, Any]:
    """Write the document of these operations, as OpenAPI 3.1 has it."""
    components = Components([*_models(described)])
    paths: dict[str, dict[str, Any]] = {}
    for one in described:
        paths.setdefault(one.path, {})[one.method.lower()] = _write_operation(one, components)
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


def _models(described: Sequence[Described]) -> Iterator[tuple[type[BaseModel], Mode]]:
    yield ErrorAnswer, "serialization"
    for one in described:
        for answer in one.operation.answers.values():
            if isinstance(answer, type):
                yield answer, "serialization"
        if isinstance(one.operation.body, type):
            yield one.operation.body, "validation"


def _write_operation(one: Described, components: Components) -> dict[str, Any]:
    summary, _, more = one.text.partition("\n")
    operation = one.operation
    written: dict[str, Any] = {
        "operationId": one.name,
        "tags": [operation.tag],
        "summary": summary,
        "description": more.strip(),
        "security": _security(operation),
        "parameters": [*_parameters(operation)],
        "responses": _responses(operation, components),
    }
    if operation.body is not None:
        written["requestBody"] = {
            "required": not operation.body_optional,
            "content": _content(operation.body, "validation", components),
        }
    return {name: value for name, value in written.items() if value or name == "security"}


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """Name the key that an operation takes, with its scope; none: it is for everybody."""
    anybody: list[dict[str, list[str]]] = [{}] if operation.key_optional else []
    return [*anybody, {_KEY: [operation.scope]}] if operation.scope else []


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name, annotation in operation.path.items():
        yield _parameter("path", name, schema_of_type(annotation), required=True)
    for place, model in (("query", operation.query), ("header", operation.headers)):
        if model is None:
            continue
        schema = schema_of_model(model)
        for name, field in schema["properties"].items():
            required = name in schema.get("required", ())
            yield _parameter(place, name, without_null(field), required=required)


def _parameter(place: str, name: str, schema: Schema, *, required: bool) -> dict[str, Any]:
    schema = dict(schema)
    about = schema.pop("description", None)
    written: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": schema}
    return written | {"description": about} if about else written


def _responses(operation: Operation, components: Components) -> dict[str, Any]:
    responses = {
        str(status.value): {"description": _about(answer, status)}
        | ({"content": _content(answer, "serialization", components)} if answer else {})
        for status, answer in operation.answers.items()
    }
    for status, why in refusals_by_status(operation).items():
        if status not in operation.answers:
            content = _content(ErrorAnswer, "serialization", components)
            responses[str(status.value)] = {"description": why, "content": content}
    return responses


def _about(answer: Answer, status: HTTPStatus) -> str:
    if answer is None:
        return status.description or status.phrase
    if isinstance(answer, Content):
        return answer.about
    return (answer.__doc__ or status.phrase).partition("\n")[0]


def _content(body: type[BaseModel] | Content, mode: Mode, components: Components) -> dict[str, Any]:
    if isinstance(body, Content):
        schema = {"type": "object", "description": body.about}
        return {body.media_type: {"schema": schema} if body.media_type == _JSON else {}}
    return {_JSON: {"schema": components.reference(body, mode)}}
