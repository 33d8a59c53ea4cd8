"""The way of an API request: key, params, idempotency, work in one transaction, answer."""

import asyncio
from base64 import b64decode
from collections.abc import Iterable
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler

from mpanel_billing.sandbox.documents import Document
from mpanel_billing.sandbox.errors import ApiError
from mpanel_billing.sandbox.expansion import expand
from mpanel_billing.sandbox.faults import Fault, Faults
from mpanel_billing.sandbox.forms import decode_form
from mpanel_billing.sandbox.idempotency import IdempotencyKeys, digest
from mpanel_billing.sandbox.operations import Call, Listing, Operation
from mpanel_billing.sandbox.pagination import cut_page, take_cursors
from mpanel_billing.sandbox.params import check_params
from mpanel_billing.sandbox.world import API_VERSION, Origin, World

TEST_KEYS = ("sk_test_", "rk_test_")
LIVE_KEYS = ("sk_live_", "rk_live_")


class Api:
    """Answers the requests under `/v1`."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._keys = IdempotencyKeys(world.store)

    def add_routes(self, app: web.Application, operations: Iterable[Operation]) -> None:
        """Serve the operations, and Stripe's 404 for any other path."""
        for operation in operations:
            app.router.add_route(operation.method, f"/v1{operation.path}", self._route(operation))
        app.router.add_route("*", "/v1/{unknown:.*}", self._refuse_url)

    def _route(self, operation: Operation) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            origin = Origin(self._world.ids.next("req"), _idempotency_key(request))
            try:
                _authenticate(request)
                return await self._serve(operation, request, origin)
            except ApiError as error:
                return _response(error.status, error.body, origin, error.headers)

        return answer

    async def _refuse_url(self, request: web.Request) -> web.Response:
        origin = Origin(self._world.ids.next("req"))
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        error = ApiError(404, message)
        return _response(error.status, error.body, origin, {})

    async def _serve(
        self, operation: Operation, request: web.Request, origin: Origin
    ) -> web.Response:
        form = decode_form(await _read_pairs(request))
        params = check_params(form, operation.params)
        operation.refuse_unsupported(params)
        fingerprint = digest(request.method, request.path, form)
        key = origin.idempotency_key
        kept = self._keys.begin(key, fingerprint) if key else None
        fault = self._faults.take(request.method, request.path)
        try:
            await self._suffer_before(fault, request, origin, fingerprint)
            if kept is None:
                status, body = self._work(operation, request, params, origin, fingerprint)
            else:
                status, body = kept["status"], kept["body"]
            await self._suffer_after(fault, request)
        finally:
            if key:
                self._keys.end(key)
        replayed = {"Idempotent-Replayed": "true"} if kept else {}
        return _response(status, body, origin, replayed)

    async def _suffer_before(
        self, fault: Fault | None, request: web.Request, origin: Origin, fingerprint: str
    ) -> None:
        if fault is None or fault.after_work:
            return
        try:
            await _suffer(fault, request)
        except ApiError as error:
            if fault.is_remembered() and origin.idempotency_key:
                with self._world.store.transaction():
                    self._keep(origin, fingerprint, error.status, error.body)
            raise

    async def _suffer_after(self, fault: Fault | None, request: web.Request) -> None:
        if fault is not None and fault.after_work:
            await _suffer(fault, request)

    def _work(
        self,
        operation: Operation,
        request: web.Request,
        params: Document,
        origin: Origin,
        fingerprint: str,
    ) -> tuple[int, Document]:
        """Do what the operation does and return its status and answer, kept for its key."""
        refusal: ApiError | None = None
        self._world.origin = origin
        try:
            with self._world.store.transaction():
                try:
                    body = self._perform(operation, request, params)
                except ApiError as error:
                    if not error.keeps_changes:
                        raise
                    refusal = error
                    body = error.body
                status = refusal.status if refusal else 200
                self._keep(origin, fingerprint, status, body)
        except ApiError as error:
            with self._world.store.transaction():
                self._keep(origin, fingerprint, error.status, error.body)
            return error.status, error.body
        finally:
            self._world.origin = Origin()
        return status, body

    def _perform(self, operation: Operation, request: web.Request, params: Document) -> Document:
        paths = params.pop("expand", None) or []
        cursors = take_cursors(params)
        result = operation.handle(Call(self._world, request.match_info, params))
        if isinstance(result, Listing):
            page = cut_page(list(result.documents), cursors, request.path)
            page["data"] = [dict(document) for document in page["data"]]
            result = page
        return expand(self._world, result, paths)

    def _keep(self, origin: Origin, fingerprint: str, status: int, body: Document) -> None:
        if origin.idempotency_key:
            self._keys.keep(origin.idempotency_key, fingerprint, status, body)


def _idempotency_key(request: web.Request) -> str | None:
    return request.headers.get("Idempotency-Key") if request.method == "POST" else None


async def _read_pairs(request: web.Request) -> list[tuple[str, str]]:
    text = await request.text() if request.method == "POST" else request.rel_url.raw_query_string
    return parse_qsl(text, keep_blank_values=True)


def _authenticate(request: web.Request) -> None:
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


def _given_key(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        return _login(value)
    return ""


def _login(credentials: str) -> str:
    """Return the user name of basic credentials, empty where they are malformed."""
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


async def _suffer(fault: Fault, request: web.Request) -> None:
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "reset" and request.transport is not None:
        request.transport.abort()
        raise web.HTTPServiceUnavailable
    elif fault.kind == "status":
        raise fault.error()


def _response(status: int, body: Document, origin: Origin, headers: dict[str, str]) -> web.Response:
    always = {"Request-Id": str(origin.id), "Stripe-Version": API_VERSION}
    if origin.idempotency_key:
        always["Idempotency-Key"] = origin.idempotency_key
    return web.json_response(body, status=status, headers={**always, **headers})
