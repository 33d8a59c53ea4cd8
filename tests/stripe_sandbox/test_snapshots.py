"""States of a sandbox that are kept by name, and restored."""

import pytest
from aiohttp import ClientResponseError

from stripe_sandbox import SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests.stripe_sandbox.conftest import DAY, connect, disconnect


async def test_objects_keys_and_time_are_as_they_were(shop):
    api, driver = shop.api.v1, shop.driver
    key = {"idempotency_key": "order-1"}
    customer = await api.customers.create_async({"name": "Ada"}, key)
    subscription = await shop.buy("monthly")
    kept = await driver.keep_snapshot("bought")
    assert kept["objects"] > 10

    await driver.advance_time(subscription.created + 65 * DAY)
    await api.customers.update_async(customer.id, {"name": "Grace"})
    late = await api.customers.create_async({"name": "Late"})
    assert len(await shop.invoices(subscription.id)) == 3

    await driver.restore_snapshot("bought")
    assert (await api.customers.retrieve_async(customer.id)).name == "Ada"
    assert len(await shop.invoices(subscription.id)) == 1
    assert late.id not in [one.id for one in (await api.customers.list_async()).data]
    assert (await api.customers.create_async({"name": "Ada"}, key)).id == customer.id
    assert kept["now"] <= await driver.now() < kept["now"] + DAY
    await driver.advance_time(subscription.created + 32 * DAY)
    assert len(await shop.invoices(subscription.id)) == 2


async def test_pending_webhooks_come_back(api, driver, receiver):
    await driver.set_delivery(hold=True)
    customer = await api.v1.customers.create_async({})
    await driver.keep_snapshot("held")
    await driver.release()
    await driver.wait_idle()
    await driver.restore_snapshot("held")
    assert await driver.release() == 1
    await driver.wait_idle()
    assert [event["data"]["object"]["id"] for event in receiver.events] == [customer.id] * 2


async def test_they_are_listed_replaced_and_deleted(api, driver, sandbox):
    await driver.keep_snapshot("b")
    await driver.keep_snapshot("a")
    first = await api.v1.customers.create_async({})
    await driver.keep_snapshot("a")
    await driver.reset()
    assert await driver.snapshots() == ["a", "b"]
    await driver.restore_snapshot("a")
    assert [one.id for one in (await api.v1.customers.list_async()).data] == [first.id]
    await driver._call("DELETE", "/_sandbox/snapshots/a")
    with pytest.raises(ClientResponseError, match="404"):
        await driver.restore_snapshot("a")
    with pytest.raises(ClientResponseError, match="400"):
        await driver.keep_snapshot("../a")


async def test_they_are_kept_in_the_state_file(tmp_path):
    config = SandboxConfig(state_file=tmp_path / "state.sqlite")
    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        api = await connect(sandbox.url)
        await api.v1.products.create_async({"id": "first", "name": "First"})
        await driver.keep_snapshot("one")
        await api.v1.products.create_async({"id": "second", "name": "Second"})
        await disconnect(api)
    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        api = await connect(sandbox.url)
        assert len((await api.v1.products.list_async()).data) == 2
        await driver.restore_snapshot("one")
        assert [one.id for one in (await api.v1.products.list_async()).data] == ["first"]
        await disconnect(api)
