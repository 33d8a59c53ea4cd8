"""A key that is misspelled must not be ignored where it could have stopped or named something."""

import json
import re
from collections.abc import Iterator

import pytest

from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import Request, Response, StrictRequest
from mpanel_billing.settings import Settings
from tests.access.test_routes import ID, Route
from tests.http.conftest import Clients
from tests.service import CREATE_SESSION, AppClient, Service, make_app, make_settings

KEYS = {"admin": "a" * 32, "billing": "b" * 32}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        admin_api_keys=KEYS["admin"],
        billing_api_keys=KEYS["billing"],
    )


@pytest.fixture
async def keyed(settings: Settings, aiohttp_client: Clients) -> AppClient:
    return await aiohttp_client(make_app(settings))


def guarded_routes() -> Iterator[Route]:
    for route in make_app(make_settings()).router.routes():
        path = route.resource.canonical if route.resource else ""
        if path.startswith(("/api/admin", "/api/billing")) and route.method != "HEAD":
            yield route.method, path


async def ask(
    client: AppClient, route: Route, query: str = "", body: str | None = None
) -> tuple[int, dict[str, str]]:
    """Send it with a key that may do anything; return the status and the wrong fields."""
    method, path = route
    path = re.sub(r"{\w+}", "7" if "audit" in path else ID, path)
    key = KEYS["admin" if "/admin/" in path else "billing"]
    headers = {"Authorization": f"Bearer {key}"} | (JSON if body else {})
    answer = await client.request(method, f"{path}{query}", headers=headers, data=body)
    return answer.status, json.loads(await answer.text()).get("fields", {})


async def test_unknown_and_repeated_keys_are_refused_by_every_route_with_a_key(
    keyed: AppClient,
) -> None:
    for route in guarded_routes():
        body = "{}" if route[0] == "POST" else None
        status, fields = await ask(keyed, route, "?customerid=x", body)
        assert (status, fields.get("customerid")) == (422, "is unknown"), route
        status, fields = await ask(keyed, route, f"?userId={ID}&userId={ID}", body)
        assert (status, fields) == (422, {"userId": "is given twice"}), route
        if body:
            query = "?type=x" if route[1].endswith("replay-ignored") else ""
            status, fields = await ask(keyed, route, query, '{"atPeriodend": true}')
            assert (status, fields.get("atPeriodend")) == (422, "is unknown"), route
            status, fields = await ask(keyed, route, query, '{"reason": "a", "reason": "b"}')
            assert (status, fields) == (422, {"reason": "is given twice"}), route


async def test_a_customer_named_by_another_spelling_is_not_taken_for_none(
    keyed: AppClient,
) -> None:
    route = ("POST", "/api/billing/invoices/{id}/refund")
    for name in ("customer_id", "customerID", "CustomerId", "customer"):
        status, fields = await ask(keyed, route, body=json.dumps({name: ID}))
        assert (status, fields) == (422, {name: "is unknown"})


async def test_a_change_that_says_when_changes_nothing(
    service: Service, order_a: dict[str, object]
) -> None:
    """`atPeriodEnd` was ignored, and the plan changed at once."""
    order = await service.buy(order_a)
    path = f"/api/billing/subscriptions/{order['subscriptionId']}/change-plan"
    change = {"planId": "premium", "billingCycle": "monthly", "atPeriodEnd": True}
    headers = {"Authorization": f"Bearer {KEYS['billing']}"}
    answer = await service.client.post(path, json=change, headers=headers)
    assert (answer.status, (await answer.json())["fields"]) == (422, {"atPeriodEnd": "is unknown"})
    assert await service.pool.fetchval("SELECT count(*) FROM billing_changes") == 0


async def test_public_routes_go_on_ignoring_unknown_keys(
    service: Service, order_a: dict[str, object]
) -> None:
    order = json.dumps(order_a | {"planId": "nonsense", "cartId": 7})
    body = order[:-1] + ', "cartId": 8}'
    answer = await service.client.post(f"{CREATE_SESSION}?utm=a&utm=b", data=body, headers=JSON)
    assert (await answer.json())["code"] == "unknown_plan"
    listed = await service.client.get("/api/public/plans?utm=a&utm=b")
    assert listed.status == 200


class BoxResponse(Response):
    """A box."""


def test_a_route_with_a_key_cannot_be_declared_to_ignore_keys_or_the_customer() -> None:
    async def ignoring(_: KeyedCall[IdPath, None, Request]) -> BoxResponse:
        return BoxResponse()

    async def without_customer(_: KeyedCall[IdPath, None, StrictRequest]) -> BoxResponse:
        return BoxResponse()

    for handler, about in ((ignoring, "forbid"), (without_customer, "customer")):
        declare = Endpoints("billing").endpoint("POST", "/boxes/{id}", scope="billing:read")
        with pytest.raises(TypeError, match=about):
            declare(handler)
