"""Endpoints: a route is declared once, in its decorator and its handler's signature.

    routes = Endpoints("billing")

    @routes.endpoint("GET", "/api/billing/things/{id}", scope="billing:read",
                     refusals={NotFoundError: ("unknown_thing",)})
    async def get_thing(call: KeyedCall[IdPath, OwnerQuery]) -> ThingResponse:
        \"\"\"Return a thing.\"\"\"

The declaration is enforced: the key and its scope, the rate limit, path, query, Idempotency-Key
and body are checked before the handler runs, and what it returns is written as JSON. The
docstring is the summary in the API description.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypedDict, TypeVar, overload

from aiohttp import hdrs, web
from pydantic import BaseModel
from typing_extensions import TypeVar as TypeVarWithDefault
from typing_extensions import Unpack

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Scope
from mpanel_billing.http.access import HOLDER, OwnerMissingError, identify, require_scope
from mpanel_billing.http.operation import Body, Content, Operation, Refusals, Tag, register
from mpanel_billing.http.paths import Path
from mpanel_billing.http.rate_limits import Group, spend_allowance
from mpanel_billing.http.request import (
    IdempotencyHeaders,
    read_idempotency_key,
    read_json,
    read_path,
    read_query,
    validate,
)
from mpanel_billing.http.schemas.base import OwnerRequest, StrictRequest
from mpanel_billing.http.signature import Signature, check_models, id_of, responses_of
from mpanel_billing.http.writing import writer_of

PathT_co = TypeVarWithDefault("PathT_co", covariant=True, bound=Path | None, default=None)
QueryT_co = TypeVarWithDefault("QueryT_co", covariant=True, bound=BaseModel | None, default=None)
BodyT_co = TypeVarWithDefault("BodyT_co", covariant=True, bound=BaseModel | None, default=None)
ResponseT = TypeVar("ResponseT", bound=BaseModel)

RawHandler = Callable[[web.Request], Awaitable[web.Response]]
RawHandlerT = TypeVar("RawHandlerT", bound=RawHandler)


@dataclass(frozen=True, slots=True)
class Call(Generic[PathT_co, QueryT_co, BodyT_co]):
    """A request that its endpoint has checked; `json` is the body as it was sent.

    `actor` holds the key that was sent, if an optional one was.
    """

    request: web.Request
    actor: Actor | None
    path: PathT_co
    query: QueryT_co
    body: BodyT_co
    json: object
    idempotency_key: str | None

    @property
    def app(self) -> web.Application:
        """The application, with the parts that `keys` names."""
        return self.request.app


@dataclass(frozen=True, slots=True)
class KeyedCall(Call[PathT_co, QueryT_co, BodyT_co]):
    """A call with a key of the declared scope; `actor` is for the audit log."""

    actor: Actor


class Passed(TypedDict, total=False):
    """What a decorator may declare as `Operation` has it."""

    limit: Group
    body_optional: bool
    most_bytes: int
    calls_stripe: bool
    by_currency: bool
    refusals: Refusals


class Declared(Passed, total=False):
    """What a decorator may declare.

    `status` is that of the response, 200 by default. `cached` responses have an ETag and may be
    304, all others `no-store`. `idempotent`: the endpoint honours Idempotency-Key.
    """

    status: HTTPStatus
    cached: bool
    idempotent: bool


class Endpoints:
    """The routes of one module, for `web.Application.add_routes`."""

    def __init__(self, tag: Tag) -> None:
        """Collect routes under one heading of the API description."""
        self._tag = tag
        self._routes: list[web.RouteDef] = []

    def __iter__(self) -> Iterator[web.RouteDef]:
        """Yield the routes in the order of their declaration."""
        return iter(self._routes)

    @overload
    def endpoint(
        self, method: str, address: str, *, scope: Scope, **declared: Unpack[Declared]
    ) -> Callable[
        [Callable[[KeyedCall[PathT_co, QueryT_co, BodyT_co]], Awaitable[ResponseT]]], RawHandler
    ]: ...
    @overload
    def endpoint(
        self,
        method: str,
        address: str,
        *,
        optional_scope: Scope | None = None,
        **declared: Unpack[Declared],
    ) -> Callable[
        [Callable[[Call[PathT_co, QueryT_co, BodyT_co]], Awaitable[ResponseT]]], RawHandler
    ]: ...

    def endpoint(
        self,
        method: str,
        address: str,
        *,
        scope: Scope | None = None,
        optional_scope: Scope | None = None,
        status: HTTPStatus = HTTPStatus.OK,
        cached: bool = False,
        idempotent: bool = False,
        **passed: Unpack[Passed],
    ) -> Callable[[Callable[[Any], Awaitable[Any]]], RawHandler]:
        """Declare a route whose handler takes a Call (KeyedCall with `scope`).

        Path, query and body are the Call's type arguments, the response is what the handler is
        annotated to return.
        """

        def declare(handler: Callable[[Any], Awaitable[Any]]) -> RawHandler:
            signature = Signature.of(handler, address)
            operation = Operation(
                tag=self._tag,
                id=id_of(handler),
                about=inspect.getdoc(handler) or "",
                method=method,
                address=address,
                responses=responses_of(status, signature.response, cached=cached),
                scope=scope or optional_scope,
                key_optional=scope is None and optional_scope is not None,
                path=signature.path,
                query=signature.query,
                headers=IdempotencyHeaders if idempotent else None,
                body=signature.body,
                **passed,
            )
            check_models(operation)
            return self._add(operation, _enforced(operation, handler))

        return declare

    def raw(
        self,
        method: str,
        address: str,
        responses: Mapping[HTTPStatus, Body],
        *,
        headers: type[BaseModel] | None = None,
        body: Content | None = None,
        refusals: Refusals | None = None,
        operation_id: str | None = None,
    ) -> Callable[[RawHandlerT], RawHandlerT]:
        """Declare a route whose handler reads the request and writes the response itself."""

        def declare(handler: RawHandlerT) -> RawHandlerT:
            operation = Operation(
                tag=self._tag,
                id=operation_id or id_of(handler),
                about=inspect.getdoc(handler) or "",
                method=method,
                address=address,
                responses=responses,
                headers=headers,
                body=body,
                refusals=refusals or {},
            )
            self._add(operation, handler)
            return handler

        return declare

    def _add(self, operation: Operation, handler: RawHandler) -> RawHandler:
        register(handler, operation)
        self._routes.append(web.RouteDef(operation.method, operation.address, handler, {}))
        return handler


def _enforced(
    operation: Operation, handler: Callable[[Any], Awaitable[BaseModel]]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the aiohttp handler of an endpoint."""
    identify_caller = _identification(operation)
    kind = KeyedCall if operation.scope and not operation.key_optional else Call
    path = operation.path
    idempotent = operation.headers is IdempotencyHeaders
    take_query = _query_taker(operation)
    read_body = _body_reader(operation)
    write = writer_of(operation)

    @functools.wraps(handler)
    async def serve(request: web.Request) -> web.Response:
        call: Call[Any, Any, Any] = kind(
            request=request,
            actor=await identify_caller(request),  # type: ignore[arg-type]  # an Actor if keyed
            path=read_path(request, path) if path else None,
            query=take_query(request),
            idempotency_key=read_idempotency_key(request) if idempotent else None,
            **await read_body(request),
        )
        if operation.is_billing:
            _require_owner(call)
        return write(request, await handler(call))

    return serve


def _require_owner(call: Call[Any, Any, Any]) -> None:
    """Raise OwnerMissingError if the request names no customer, and its key is not for any."""
    given = [one for one in (call.query, call.body) if isinstance(one, OwnerRequest)]
    if any(not one.named.is_empty for one in given):
        return
    if not call.request[HOLDER].may("billing:any-customer"):
        raise OwnerMissingError


def _identification(operation: Operation) -> Callable[[web.Request], Awaitable[Actor | None]]:
    """Return what checks the key; a call without one counts against the rate limit."""
    scope, limit = operation.scope, operation.limit

    async def identify_caller(request: web.Request) -> Actor | None:
        actor = None
        if scope:
            check = identify if operation.key_optional else require_scope
            actor = await check(request, scope)
        if limit and actor is None:
            await spend_allowance(request, limit)
        return actor

    return identify_caller


def _query_taker(operation: Operation) -> Callable[[web.Request], BaseModel | None]:
    strict = operation.is_strict
    model = operation.query or (_Nothing if strict else None)

    def take_query(request: web.Request) -> BaseModel | None:
        return validate(model, read_query(request, strict=strict)) if model else None

    return take_query


class _Nothing(StrictRequest):
    """What an endpoint takes that declares no query or no body: no key."""


def _body_reader(
    operation: Operation,
) -> Callable[[web.Request], Awaitable[dict[str, Any]]]:
    strict = operation.is_strict
    model, optional = operation.body, operation.body_optional
    if model is None and strict and operation.method != hdrs.METH_GET:
        model, optional = _Nothing, True
    if not isinstance(model, type):
        return _no_body
    labels = getattr(model, "labels", {})

    async def read_body(request: web.Request) -> dict[str, Any]:
        if optional and not request.can_read_body:
            sent = {}
        else:
            sent = await read_json(request, strict=strict, most=operation.most_bytes)
        return {"json": sent, "body": validate(model, sent, labels)}

    return read_body


async def _no_body(_: web.Request) -> dict[str, Any]:
    return {"json": None, "body": None}
