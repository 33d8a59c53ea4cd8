"""Servers and moves over HTTP: what `provision servers`, `move` and the others do, with a key."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.provisioning.conftest import ProvisioningSystem
from tests.service import AppClient, make_app, make_settings

KEY = "k" * 32
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass
class Operator:
    """Calls routes of /api/admin with a key."""

    client: AppClient

    async def get(self, path: str) -> dict[str, Any]:
        return await self.ask("GET", path)

    async def post(self, path: str, status: int = 200, **body: object) -> dict[str, Any]:
        return await self.ask("POST", path, status, json=body or None)

    async def ask(self, method: str, path: str, status: int = 200, **more: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with self.client.request(
            method, f"/api/admin/{path}", headers=headers, **more
        ) as answer:
            body: dict[str, Any] = await answer.json()
            assert answer.status == status, body
            return body


@pytest.fixture
async def operator(
    database_url: str, aiohttp_client: Callable[..., Awaitable[AppClient]]
) -> Operator:
    settings = make_settings(database_url=database_url, admin_api_keys=KEY)
    return Operator(await aiohttp_client(make_app(settings)))


@pytest.fixture
async def place(system: ProvisioningSystem) -> str:
    """An account that is on web1, one of two servers; the path of its service."""
    await system.sell(id_="sub_1")
    id_ = await system.id_of("sub_1")
    await system.pool.execute(
        "INSERT INTO billing_servers (product_type, name, driver, weight)"
        " VALUES ('hosting', 'web1', 'log', 1), ('hosting', 'web2', 'log', 3)"
    )
    await system.pool.execute(
        "UPDATE tenant_services SET server = 'web1'"
        " WHERE subscription_id = $1 AND product_type = 'hosting'",
        id_,
    )
    return f"subscriptions/{id_}/services/hosting"


async def actions(system: ProvisioningSystem) -> list[str]:
    """Return what is on record of operators, in order."""
    rows = await system.pool.fetch("SELECT action FROM billing_audit_entries ORDER BY id")
    return [row["action"] for row in rows]


async def test_an_account_is_moved_and_stays(
    operator: Operator, place: str, system: ProvisioningSystem
) -> None:
    for _ in range(2):
        assert (await operator.post(f"{place}/move", toServer="web2"))["server"] == "web2"
    loads = {each["server"]: each for each in (await operator.get("servers"))["servers"]}
    assert (loads["web1"]["leaving"], loads["web2"]["coming"], loads["web2"]["weight"]) == (1, 1, 3)
    (move,) = (await operator.get("moves?server=web2"))["moves"]
    assert (move["fromServer"], move["toServer"], move["state"]) == ("web1", "web2", "creating")
    assert (await operator.get(f"moves?after={move['id']}"))["moves"] == []
    early = await operator.post(f"{place}/moved", 409)
    assert "waits for its data" in early["error"]
    for _ in range(2):
        assert (await operator.post(f"{place}/stay"))["server"] == "web1"
    assert {"subscription.move", "subscription.stay"} == {*await actions(system)}


async def test_an_account_whose_data_was_moved_is_at_the_new_server(
    operator: Operator, place: str, system: ProvisioningSystem
) -> None:
    await operator.post(f"{place}/move", toServer="web2")
    await system.pool.execute("UPDATE billing_moves SET state = 'copying', external_ref = 'acc'")
    moved = await operator.post(f"{place}/moved", serverIsGone=True)
    assert moved["server"] == "web2"
    assert await actions(system) == ["subscription.move", "subscription.moved"]


async def test_a_server_is_emptied_and_filled(
    operator: Operator, place: str, system: ProvisioningSystem
) -> None:
    full = await operator.post("servers/web1/drain", toServer="web2", productType="hosting")
    assert (full["begun"], full["notMoved"]) == (1, [])
    await system.pool.execute("UPDATE billing_moves SET state = 'copying', external_ref = 'acc'")
    assert (await operator.post("servers/web1/drained"))["confirmed"] == 1
    assert (await operator.post("servers/web1/fill"))["server"] == "web1"
    (first, *_) = (await operator.get("servers"))["servers"]
    assert first["drainedBy"] is None
    assert await actions(system) == ["server.drain", "server.moved", "server.fill"]


async def test_a_full_server_is_named_as_the_reason(
    operator: Operator, place: str, system: ProvisioningSystem
) -> None:
    await system.pool.execute("UPDATE billing_servers SET capacity = 0 WHERE name = 'web2'")
    refused = await operator.post(f"{place}/move", 409)
    assert "web2 has 0 of 0 accounts" in refused["error"]
    (left,) = (await operator.post("servers/web1/drain"))["notMoved"]
    assert (left["accounts"], "web2 has 0 of 0 accounts" in left["reason"]) == (1, True)


async def test_what_is_not_known_is_not_found(operator: Operator, place: str) -> None:
    await operator.post(f"subscriptions/{NOBODY}/services/hosting/move", 404)
    await operator.post(f"{place}/move", 404, toServer="web9")
    await operator.post(f"{place.removesuffix('hosting')}email/stay", 409)
    for verb in ("drain", "drained", "fill"):
        told = await operator.post(f"servers/web9/{verb}", 404)
        assert "No server web9 is on record" in told["error"]
    await operator.post("servers/web1/drain", 409, toServer="web1")
