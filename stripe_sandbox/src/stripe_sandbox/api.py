"""Handles API requests: key, params, idempotency, one transaction, response."""

import asyncio
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.expansion import expand
from stripe_sandbox.faults import Fault, Faults, RateLimit
from stripe_sandbox.former_params import rename
from stripe_sandbox.idempotency import IdempotencyKeys, digest
from stripe_sandbox.operations import Call, Listing, Operation, SearchResult
from stripe_sandbox.pagination import cut_page, cut_search_page, take_cursors
from stripe_sandbox.params import check_params, decode_form
from stripe_sandbox.shapes import as_sent
from stripe_sandbox.versions import is_known_version
from stripe_sandbox.world import ACCOUNT_ID, API_VERSION, Origin, World

TEST_KEYS = ("sk_test_", "rk_test_")
ANY_ID = "{id:(?!search$)[^/]+}"
"""An id in a path; `search` is a path of its own."""

TOTAL = "total_count"
"""What a search counts only if it is expanded."""

LOGS = f"https://dashboard.stripe.com/{ACCOUNT_ID}/test/workbench/logs/"
LIVE_KEYS = ("sk_live_", "rk_live_")


@dataclass(frozen=True)
class _Task:
    """A request with valid params; repeats of it have the same fingerprint."""

    operation: Operation
    path: str
    ids: Mapping[str, str]
    params: ReadOnly
    origin: Origin
    fingerprint: str


class Api:
    """Serves `/v1`."""

    def __init__(self, world: World, faults: Faults, rate_limit: RateLimit) -> None:
        self._world = world
        self._rate_limit = rate_limit
        self._faults = faults
        self._keys = IdempotencyKeys(world.store)

    def add_routes(self, app: web.Application, paths: "Paths") -> None:
        """Serve the operations; any other path gets Stripe's 404."""
        app[_API] = self
        paths.add_to(app)

    async def handle(self, operation: Operation, request: web.Request) -> web.Response:
        """Respond to a request for an operation."""
        origin = Origin(self._world.ids.next("req"), _idempotency_key(request))
        try:
            authenticate(request)
            _check_headers(request)
            self._rate_limit.count()
            return await self._serve(operation, request, origin)
        except ApiError as error:
            return _response(error.status, error.body, origin, error.headers)

    async def refuse_url(self, request: web.Request) -> web.Response:
        """Respond to a request for a path that no operation has."""
        origin = Origin(self._world.ids.next("req"))
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        error = ApiError(404, message)
        return _response(error.status, error.body, origin, {})

    async def _serve(
        self, operation: Operation, request: web.Request, origin: Origin
    ) -> web.Response:
        form = await _read_form(request)
        rename(self._world, operation.method, operation.path, form)
        params = check_params(form, operation.params)
        operation.refuse_unsupported(params)
        fingerprint = digest(request.method, request.path, form)
        task = _Task(operation, request.path, request.match_info, params, origin, fingerprint)
        key = origin.idempotency_key
        kept = self._keys.begin(key, fingerprint) if key else None
        try:
            status, body = await self._respond(task, request, kept)
        finally:
            if key:
                self._keys.end(key)
        return _response(status, body, origin, {"Idempotent-Replayed": "true"} if kept else {})

    async def _respond(
        self, task: _Task, request: web.Request, kept: ReadOnly | None
    ) -> tuple[int, Document]:
        """Return the status and body; an injected fault strikes before or after the work."""
        fault = self._faults.take(request.method, request.path)
        if fault and not fault.after_work:
            await self._inject_before_work(fault, request, task)
        if kept is None:
            status, body = self._work(task)
        else:
            status, body = kept["status"], kept["body"]
        if fault and fault.after_work:
            await _inject(fault, request)
        return status, body

    async def _inject_before_work(self, fault: Fault, request: web.Request, task: _Task) -> None:
        try:
            await _inject(fault, request)
        except ApiError as error:
            if fault.is_remembered():
                self._keep_alone(task, error)
            raise

    def _work(self, task: _Task) -> tuple[int, Document]:
        """Run the operation and store its response under the idempotency key in one transaction."""
        self._world.origin = task.origin
        try:
            with self._world.store.transaction():
                status, body = self._attempt(task)
                self._keep(task, status, body)
        except ApiError as error:
            self._keep_alone(task, error)
            return error.status, error.body
        finally:
            self._world.origin = Origin()
        return status, body

    def _attempt(self, task: _Task) -> tuple[int, Document]:
        try:
            return HTTPStatus.OK.value, self._perform(task)
        except ApiError as error:
            if not error.keeps_changes:
                raise
            return error.status, error.body

    def _perform(self, task: _Task) -> Document:
        params = dict(task.params)
        paths = params.pop("expand", None) or []
        cursors = take_cursors(params)
        result = task.operation.handle(Call(self._world, task.ids, params))
        if isinstance(result, SearchResult):
            result = cut_search_page(result, cursors, task.path, counts=TOTAL in paths)
            paths = [path for path in paths if path != TOTAL]
        elif isinstance(result, Listing):
            result = cut_page(result, cursors, task.path)
            result["data"] = deepcopy(result["data"])
        return expand(self._world, as_sent(result), paths)

    def _keep_alone(self, task: _Task, error: ApiError) -> None:
        """Store an error that rolled everything back under the idempotency key."""
        with self._world.store.transaction():
            self._keep(task, error.status, error.body)

    def _keep(self, task: _Task, status: int, body: Document) -> None:
        key = task.origin.idempotency_key
        _add_log_url(body, task.origin)
        if key:
            self._keys.keep(key, task.fingerprint, status, body)


def _idempotency_key(request: web.Request) -> str | None:
    return request.headers.get("Idempotency-Key") if request.method == "POST" else None


async def _read_form(request: web.Request) -> Document:
    """Return the params of a request; an uploaded file is its name and its content in base64."""
    if request.content_type != "multipart/form-data":
        return decode_form(await _read_pairs(request))
    parts = (await request.post()).items()
    form = decode_form((name, one) for name, one in parts if isinstance(one, str))
    files = {name: one for name, one in parts if isinstance(one, web.FileField)}
    for name, one in files.items():
        content = b64encode(one.file.read()).decode()
        form[name] = {"content": content, "filename": one.filename}
    return form


async def _read_pairs(request: web.Request) -> list[tuple[str, str]]:
    text = await request.text() if request.method == "POST" else request.rel_url.raw_query_string
    return parse_qsl(text, keep_blank_values=True)


def authenticate(request: web.Request) -> None:
    """Raise ApiError unless the request has a key of test mode."""
    key = _given_key(request.headers.get("Authorization", ""))
    if not key:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
        raise ApiError(401, message)
    if key.startswith(LIVE_KEYS):
        message = "A live mode key was given: this sandbox takes only test mode keys (sk_test_...)."
        raise ApiError(401, message)
    if not key.startswith(TEST_KEYS):
        raise ApiError(401, "Invalid API Key provided.")


def _check_headers(request: web.Request) -> None:
    version = request.headers.get("Stripe-Version")
    if version is not None and not is_known_version(version):
        raise ApiError(400, f"Invalid Stripe API version: {version}")
    account = request.headers.get("Stripe-Account")
    if account not in {None, ACCOUNT_ID}:
        message = (
            f"The provided key does not have access to account '{account}' (or that account does "
            "not exist). Application access may have been revoked."
        )
        raise ApiError(403, message, code="account_invalid")


_API = web.AppKey("api", Api)


class Paths:
    """The paths of the operations, compiled once for all sandboxes of a process."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        """Compile them; `add_to` serves them by the `Api` of an application."""
        router = web.UrlDispatcher()
        for operation in operations:
            path = f"/v1{operation.path}".replace("{id}", ANY_ID)
            router.add_route(operation.method, path, _handler_of(operation))
        router.add_route("*", "/v1/{unknown:.*}", _refuse_url)
        self._resources = tuple(router.resources())

    def add_to(self, app: web.Application) -> None:
        """Serve them in an application."""
        for resource in self._resources:
            app.router.register_resource(resource)


def _handler_of(operation: Operation) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await request.app[_API].handle(operation, request)

    return handle


async def _refuse_url(request: web.Request) -> web.Response:
    return await request.app[_API].refuse_url(request)


def _given_key(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        return _login(value)
    return ""


def _login(credentials: str) -> str:
    """Return the user name of basic credentials, empty if they are malformed."""
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


async def _inject(fault: Fault, request: web.Request) -> None:
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "reset" and request.transport is not None:
        request.transport.abort()
        raise web.HTTPServiceUnavailable
    elif fault.kind == "status":
        raise fault.error()


def _add_log_url(body: Document, origin: Origin) -> None:
    """Add the address of the request's log to an error, which keeps it in replays."""
    if "error" in body:
        log = f"{LOGS}{origin.id}?t={int(time.time())}"
        body["error"].setdefault("request_log_url", log)


def _response(status: int, body: Document, origin: Origin, headers: dict[str, str]) -> web.Response:
    always = {"Request-Id": str(origin.id), "Stripe-Version": API_VERSION}
    _add_log_url(body, origin)
    if origin.idempotency_key:
        always["Idempotency-Key"] = origin.idempotency_key
    return web.json_response(body, status=status, headers={**always, **headers})
