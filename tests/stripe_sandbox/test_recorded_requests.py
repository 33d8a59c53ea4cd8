"""`/_sandbox/requests`: what clients asked for, and what they got."""

import asyncio

import pytest
import stripe
from aiohttp import ClientSession, ServerDisconnectedError


async def test_requests_are_listed_newest_first_with_their_outcome(driver, api):
    created = await api.v1.customers.create_async(
        {"email": "ada@example.com", "metadata": {"plan": "basic"}}, {"idempotency_key": "order-1"}
    )
    with pytest.raises(stripe.InvalidRequestError):
        await api.v1.customers.retrieve_async("cus_none")
    await api.v1.customers.create_async(
        {"email": "ada@example.com", "metadata": {"plan": "basic"}}, {"idempotency_key": "order-1"}
    )
    replay, failed, first = await driver.requests()
    assert first["id"] == created.last_response.headers["Request-Id"]
    assert (first["method"], first["path"], first["status"]) == ("POST", "/v1/customers", 200)
    assert first["params"] == {"email": "ada@example.com", "metadata": {"plan": "basic"}}
    assert first["idempotency_key"] == "order-1"
    assert first["stripe_version"] == stripe.api_version
    assert first["error"] is None
    assert (failed["status"], failed["error"]["code"]) == (404, "resource_missing")
    assert (replay["replayed"], first["replayed"]) == (True, False)


async def test_they_are_filtered_and_forgotten(driver, api, sandbox):
    await api.v1.customers.create_async({"name": "Ada"})
    await api.v1.products.list_async({"limit": 3})
    assert [r["path"] for r in await driver.requests(method="GET")] == ["/v1/products"]
    assert [r["params"] for r in await driver.requests(path="/v1/cust")] == [{"name": "Ada"}]
    assert len(await driver.requests(limit="1")) == 1
    async with ClientSession(sandbox.url) as session:
        refused = await session.get("/_sandbox/requests?limit=0")
        assert refused.status == 400
        assert (await refused.json())["error"]["message"].startswith("limit: ")
        await session.delete("/_sandbox/requests")
    assert await driver.requests() == []


async def test_a_request_whose_connection_was_cut_is_there_without_a_status(driver, sandbox):
    await driver.inject_fault("reset", after_work=True)
    async with ClientSession(sandbox.url) as session:
        with pytest.raises(ServerDisconnectedError):
            await session.post("/v1/customers", headers={"Authorization": "Bearer sk_test_x"})
    async with asyncio.timeout(30):
        while not (found := await driver.requests()):
            pass
    assert found[0]["status"] is None
