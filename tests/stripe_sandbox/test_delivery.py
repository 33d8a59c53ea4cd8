"""Webhooks: signed, repeated until they are accepted, and disturbed on demand."""

import asyncio

import pytest
import stripe

from stripe_sandbox import SandboxConfig, WebhookTarget, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests.stripe_sandbox.conftest import SECRET, connect, disconnect


async def make_customers(api, count=3) -> list[str]:
    made = [await api.v1.customers.create_async({"name": str(n)}) for n in range(count)]
    return [customer.id for customer in made]


def customers_in(receiver) -> list[str]:
    return [event["data"]["object"]["id"] for event in receiver.events]


async def test_webhooks_come_in_order_and_look_like_stripes(api, driver, receiver):
    made = await make_customers(api)
    await driver.wait_idle()
    assert customers_in(receiver) == made
    headers = receiver.headers[0]
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["User-Agent"].startswith("Stripe/1.0")
    event = await api.v1.events.retrieve_async(receiver.events[0]["id"])
    assert event.pending_webhooks == 0


async def test_a_failed_webhook_is_tried_again_and_blocks_none_behind_it(api, driver, receiver):
    await driver.set_delivery(hold=True)
    made = await make_customers(api)
    receiver.refusals[made[0]] = [500, 503]
    await driver.release()
    await driver.wait_idle()
    assert customers_in(receiver) == [*made, made[0], made[0]]
    tried = (await driver.deliveries())[0]
    assert [one["status"] for one in tried["attempts"]] == [500, 503, 200]
    assert tried["state"] == "delivered"


async def test_an_address_that_does_not_respond_is_recorded(sandbox, driver, receiver):
    sandbox.add_webhook("http://127.0.0.1:9/none", SECRET)
    client = await connect(sandbox.url)
    await client.v1.customers.create_async({})
    failed = {"attempts": []}
    async with asyncio.timeout(30):
        while not failed["attempts"]:
            with pytest.raises(TimeoutError):
                await driver.wait_idle(timeout=0.05)
            failed = next(d for d in await driver.deliveries() if d["url"].endswith("/none"))
    assert failed["attempts"][0]["error"]
    unseen = await client.v1.events.list_async({"delivery_success": False})
    assert [event.type for event in unseen.data] == ["customer.created"]
    await disconnect(client)


async def test_endpoints_made_by_the_api_get_only_what_they_asked_for(api, driver, receiver):
    v1 = api.v1
    endpoint = await v1.webhook_endpoints.create_async(
        {
            "url": receiver.url,
            "enabled_events": ["product.created"],
            "api_version": "2026-10-28.endive",
        }
    )
    assert endpoint.secret.startswith("whsec_")
    again = await v1.webhook_endpoints.retrieve_async(endpoint.id)
    assert "secret" not in again._data
    assert again.enabled_events == ["product.created"]
    assert [one.id for one in (await v1.webhook_endpoints.list_async()).data] == [endpoint.id]

    await v1.customers.create_async({})
    deliveries = await driver.deliveries()
    assert [d["endpoint"] for d in deliveries if d["endpoint"] == endpoint.id] == []
    await v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True})
    await v1.products.create_async({"name": "x"})
    assert len(await driver.deliveries()) == 2
    await v1.webhook_endpoints.delete_async(endpoint.id)
    with pytest.raises(stripe.InvalidRequestError):
        await v1.webhook_endpoints.retrieve_async(endpoint.id)
    with pytest.raises(stripe.InvalidRequestError, match="does not support api_version"):
        await v1.webhook_endpoints.create_async(
            {"url": receiver.url, "enabled_events": ["*"], "api_version": "2024-06-20"}
        )


async def test_held_webhooks_are_released_together(api, driver, receiver):
    await driver.set_delivery(hold=True)
    made = await make_customers(api)
    await driver.wait_idle()
    assert receiver.events == []
    assert await driver.release() == 3
    await driver.wait_idle()
    assert customers_in(receiver) == made


async def test_reordered_webhooks_all_arrive_in_another_order(api, driver, receiver):
    await driver.set_delivery(hold=True, reorder=True, seed=3)
    made = await make_customers(api, 6)
    await driver.release()
    await driver.wait_idle()
    assert sorted(customers_in(receiver)) == sorted(made)
    assert customers_in(receiver) != made


async def test_duplicated_webhooks_arrive_twice(api, driver, receiver):
    await driver.set_delivery(duplicate=True)
    made = await make_customers(api, 2)
    await driver.wait_idle()
    assert sorted(customers_in(receiver)) == sorted(made * 2)


async def test_dropped_webhooks_never_arrive_but_stay_listed(api, driver, receiver):
    await driver.set_delivery(drop=["product.created"])
    await api.v1.products.create_async({"name": "x"})
    await make_customers(api, 1)
    await driver.wait_idle()
    assert receiver.types() == ["customer.created"]
    assert len((await api.v1.events.list_async()).data) == 2
    await driver.set_delivery(drop=1.0)
    await make_customers(api, 2)
    await driver.wait_idle()
    assert len(receiver.events) == 1


async def test_delayed_webhooks_arrive_later(api, driver, receiver):
    await driver.set_delivery(delay=0.1)
    await make_customers(api, 1)
    await driver.wait_idle()
    assert len(receiver.events) == 1
    delayed = (await driver.deliveries())[0]
    assert delayed["attempts"][0]["at"] >= delayed["planned"] + 0.1


async def test_all_events_can_share_one_second(shop):
    clock, customer = await shop.clocked_customer()
    await shop.driver.set_delivery(same_second=True)
    await shop.buy(customer=customer)
    await shop.driver.advance_clock(clock, 1_800_000_000)
    await shop.driver.wait_idle()
    billed = [e for e in shop.receiver.events if e["type"].startswith("invoice")]
    assert len(billed) > 20
    assert len({event["created"] for event in billed}) == 1
    assert {event["request"]["id"] for event in billed} == {None}


async def test_a_restart_keeps_everything_and_sends_pending_webhooks(receiver, tmp_path):
    state = tmp_path / "state" / "sandbox.sqlite"
    target = WebhookTarget(receiver.url, SECRET)
    config = SandboxConfig(webhooks=(target,), state_file=state, retry_delays=(30.0,))

    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        client = await connect(sandbox.url)
        product = await client.v1.products.create_async({"name": "Starter"})
        price = await client.v1.prices.create_async(
            {
                "currency": "usd",
                "product": product.id,
                "unit_amount": 1000,
                "recurring": {"interval": "month"},
            }
        )
        session = await client.v1.checkout.sessions.create_async(
            {
                "mode": "subscription",
                "success_url": "https://shop.example",
                "line_items": [{"price": price.id, "quantity": 1}],
            }
        )
        await driver.wait_idle()
        await driver.set_delivery(hold=True)
        await client.v1.customers.create_async({"name": "held"})
        await disconnect(client)
    receiver.events.clear()

    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        client = await connect(sandbox.url)
        assert (await client.v1.prices.retrieve_async(price.id)).unit_amount == 1000
        assert (await driver.pay(session.id)).status == 303
        assert await driver.release() == 1
        await driver.wait_idle()
        assert receiver.types().count("checkout.session.completed") == 1
        assert "held" in [e["data"]["object"].get("name") for e in receiver.events]
        await disconnect(client)


async def test_a_delivery_that_failed_before_a_restart_is_tried_again(receiver, tmp_path):
    target = WebhookTarget(receiver.url, SECRET)
    config = SandboxConfig(
        webhooks=(target,), state_file=tmp_path / "s.sqlite", retry_delays=(0.3,)
    )
    receiver.answers = [500]
    async with running_sandbox(config) as sandbox:
        client = await connect(sandbox.url)
        await client.v1.customers.create_async({})
        await receiver.arrived.wait()
        await disconnect(client)
    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        await driver.wait_idle()
    assert receiver.types() == ["customer.created", "customer.created"]
    assert receiver.events[0]["id"] == receiver.events[1]["id"]


async def test_the_same_seed_makes_the_same_ids(receiver):
    config = SandboxConfig(seed=7)
    seen = []
    for _ in range(2):
        async with running_sandbox(config) as sandbox:
            client = await connect(sandbox.url)
            seen.append((await client.v1.customers.create_async({})).id)
            await disconnect(client)
    assert seen[0] == seen[1]


async def test_an_occupied_port_is_an_error():
    async with running_sandbox(SandboxConfig()) as sandbox:
        with pytest.raises(OSError, match="address already in use"):
            async with running_sandbox(SandboxConfig(port=sandbox.port)):
                pass


async def test_many_requests_at_once_are_all_served(api, driver, receiver):
    await asyncio.gather(*(api.v1.customers.create_async({"name": str(n)}) for n in range(50)))
    await driver.wait_idle()
    assert len(set(customers_in(receiver))) == 50
