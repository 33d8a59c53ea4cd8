"""What a declaration enforces: tried on endpoints of this test's own."""

import re
from http import HTTPStatus
from typing import Annotated

import pytest
from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Call, Endpoints
from mpanel_billing.http.middleware import MIDDLEWARES, refuse_undeclared
from mpanel_billing.http.paths import IdPath, Path
from mpanel_billing.http.schemas.base import Request, Response
from tests.http.conftest import Clients
from tests.service import AppClient, make_settings

ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


class BoxQuery(Request):
    side: Annotated[int, Field(ge=1)] = 1


class BoxRequest(Request):
    label: str = "plain"


class BoxResponse(Response):
    side: int
    label: str
    key: str | None


def box(label: str, side: int = 1, key: str | None = None) -> BoxResponse:
    return BoxResponse(side=side, label=label, key=key)


def make_routes() -> Endpoints:
    routes = Endpoints("documents")

    @routes.endpoint("POST", "/boxes/{id}", idempotent=True, body_optional=True)
    async def post_box(call: Call[IdPath, BoxQuery, BoxRequest]) -> BoxResponse:
        return box(f"{call.body.label} {call.path.id}", call.query.side, call.idempotency_key)

    @routes.endpoint("GET", "/missing", refusals={NotFoundError: ("no_box",)})
    async def get_missing(_: Call) -> BoxResponse:
        raise NotFoundError("No box.", code="no_box")

    @routes.endpoint("GET", "/other-code", refusals={NotFoundError: ("no_box",)})
    async def get_other_code(_: Call) -> BoxResponse:
        raise NotFoundError("No box.", code="no_lid")

    @routes.endpoint("GET", "/other-status")
    async def get_other_status(_: Call) -> BoxResponse:
        raise ConflictError("Closed.")

    @routes.raw("GET", "/raw", {HTTPStatus.OK: BoxResponse})
    async def get_raw(_: web.Request) -> web.Response:
        return web.Response(status=202)

    return routes


@pytest.fixture
async def boxes(aiohttp_client: Clients) -> AppClient:
    app = web.Application(middlewares=(*MIDDLEWARES, refuse_undeclared))
    app[keys.SETTINGS] = make_settings()
    app.add_routes(make_routes())
    return await aiohttp_client(app)


async def test_the_handler_gets_what_was_declared(boxes: AppClient) -> None:
    sent = {"json": {"label": "red"}, "headers": {"Idempotency-Key": "k"}}
    answer = await boxes.post(f"/boxes/{ID}?side=3", **sent)
    assert await answer.json() == {"success": True, "side": 3, "label": f"red {ID}", "key": "k"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_an_optional_body_may_be_missing(boxes: AppClient) -> None:
    assert (await (await boxes.post(f"/boxes/{ID}")).json())["label"] == f"plain {ID}"


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "code"),
    [
        ("/boxes/1", {}, {}, 400, "malformed_request"),
        (f"/boxes/{ID}?side=0", {}, {}, 422, "invalid_request"),
        (f"/boxes/{ID}", {"Idempotency-Key": "a b"}, {}, 400, "malformed_request"),
        (f"/boxes/{ID}", {}, {"label": 1}, 422, "invalid_request"),
        (f"/boxes/{ID}", {}, {"label": "x" * 70_000}, 413, "body_too_large"),
    ],
)
async def test_what_does_not_fit_is_refused_before_the_handler(
    *,
    boxes: AppClient,
    path: str,
    headers: dict[str, str],
    body: dict[str, object],
    status: int,
    code: str,
) -> None:
    answer = await boxes.post(path, headers=headers, json=body)
    assert (answer.status, (await answer.json())["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/missing", 404), ("/other-code", 500), ("/other-status", 500), ("/raw", 500)],
)
async def test_a_response_that_is_not_declared_fails_where_that_is_checked(
    boxes: AppClient, path: str, status: int
) -> None:
    assert (await boxes.get(path)).status == status


def test_the_path_has_to_be_that_of_the_address() -> None:
    class OtherPath(Path):
        name: str

    async def get_box(_: Call[OtherPath]) -> BoxResponse:
        return box("")

    async def get_all(_: Call[None, BaseModel]) -> BoxResponse:
        return box("")

    routes = Endpoints("documents")
    for handler in (get_box, get_all):
        with pytest.raises(TypeError, match=re.escape("/boxes/{id}")):
            routes.endpoint("GET", "/boxes/{id}")(handler)
