"""Orders that mPanel's backend sends for existing customers."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from mpanel_billing.settings import Settings
from mpanel_billing.telemetry.counters import STRIPE_CALLS
from tests.service import CREATE_SESSION, Service, make_app, make_settings

KEY = "b" * 32
NO_FUNDS_LATER = "4000000000000341"
OWED_BY_OUR_CLOCK = """
UPDATE provisioning_work
SET inputs = jsonb_set(inputs, '{owedSince}', to_jsonb(now() - interval '1 day'))
WHERE inputs ->> 'owedSince' IS NOT NULL
"""
BACKEND = {"Authorization": f"Bearer {KEY}"}
CUSTOMER = "SELECT stripe_customer_id AS id FROM customers WHERE id::text = $1"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=f"{'o' * 32},{KEY}",
        admin_api_keys="a" * 32,
    )


@pytest.fixture
async def ada(service: Service) -> str:
    """A customer of mPanel's, known only by their account there."""
    return str(
        await service.pool.fetchval(
            """WITH u AS (INSERT INTO users (email, password_hash, email_verified)
                          VALUES ('ada@example.org', 'x', TRUE) RETURNING id)
               INSERT INTO customers (user_id) SELECT id FROM u RETURNING id"""
        )
    )


async def order_for(service: Service, customer_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return await service.order(body | {"customerId": customer_id}, **BACKEND)


async def order_row(service: Service, order: dict[str, Any]) -> Any:
    return await service.row(
        "SELECT customer_id::text, stripe_customer_id FROM subscriptions WHERE id::text = $1",
        order["subscriptionId"],
    )


async def test_the_first_order_creates_the_principal_stripe_customer_and_the_next_uses_it(
    service: Service, ada: str, order_a: dict[str, Any]
) -> None:
    first = await order_for(service, ada, order_a)
    await service.stripe.pay(first["url"])
    second = await order_for(service, ada, order_a | {"planId": "premium"})
    await service.stripe.pay(second["url"])
    await service.stripe.wait_idle()
    rows = [await order_row(service, order) for order in (first, second)]
    assert [row["customer_id"] for row in rows] == [ada, ada]
    principal = (await service.row(CUSTOMER, ada))["id"]
    assert principal is not None
    assert {row["stripe_customer_id"] for row in rows} == {principal}
    assert await service.pool.fetchval("SELECT count(*) FROM stripe_customers") == 1
    assert await service.pool.fetchval("SELECT count(*) FROM customers") == 1
    statuses = await service.pool.fetch("SELECT status FROM subscriptions")
    assert [row["status"] for row in statuses] == ["pending", "pending"]


async def test_an_order_of_a_known_customer_takes_one_call_to_stripe(
    service: Service, ada: str, order_a: dict[str, Any]
) -> None:
    first = await order_for(service, ada, order_a)
    await service.stripe.pay(first["url"])
    await service.stripe.wait_idle()
    before = calls_to_stripe()
    await order_for(service, ada, order_a | {"planId": "premium"})
    assert calls_to_stripe() - before == {"POST checkout/sessions": 1}


def calls_to_stripe() -> Counter[str]:
    samples = [sample for metric in STRIPE_CALLS.collect() for sample in metric.samples]
    found: Counter[str] = Counter()
    for sample in samples:
        if sample.name.endswith("_total"):
            labels = sample.labels
            found[f"{labels['method']} {labels['resource']}"] += int(sample.value)
    return found


async def test_nobody_else_gets_the_page_of_their_order(
    service: Service, ada: str, order_a: dict[str, Any]
) -> None:
    known = order_a | {"customer": {"name": "Ada", "email": "ada@example.org"}}
    existing = await order_for(service, ada, known)
    unproven = await service.order(known)
    assert unproven["url"] != existing["url"]
    assert (await service.stripe.pay(existing["url"])).status == 303
    rows = [await order_row(service, order) for order in (existing, unproven)]
    assert rows[0]["customer_id"] == rows[1]["customer_id"] == ada
    assert rows[0]["stripe_customer_id"] != rows[1]["stripe_customer_id"]
    assert (await service.row(CUSTOMER, ada))["id"] == rows[0]["stripe_customer_id"]


async def test_a_customer_deleted_in_stripe_gets_a_new_one(
    service: Service, ada: str, order_a: dict[str, Any], gateway: Any
) -> None:
    first = await order_for(service, ada, order_a)
    deleted = (await order_row(service, first))["stripe_customer_id"]
    await service.stripe.set_delivery(hold=True)
    await gateway.client.v1.customers.delete_async(deleted)
    second = await order_for(service, ada, order_a | {"planId": "premium"})
    fresh = (await order_row(service, second))["stripe_customer_id"]
    assert fresh != deleted
    assert (await service.row(CUSTOMER, ada))["id"] == fresh
    assert (await service.stripe.pay(second["url"])).status == 303


async def test_a_customer_unknown_to_stripe_gets_a_new_one(
    service: Service, ada: str, order_a: dict[str, Any]
) -> None:
    await service.pool.execute("UPDATE customers SET stripe_customer_id = 'cus_of_another_account'")
    order = await order_for(service, ada, order_a)
    assert (await service.row(CUSTOMER, ada))["id"] == (await order_row(service, order))[
        "stripe_customer_id"
    ]
    assert (await service.stripe.pay(order["url"])).status == 303


async def test_an_id_of_live_mode_is_not_used_in_test_mode(
    service: Service, ada: str, order_a: dict[str, Any]
) -> None:
    await service.pool.execute("INSERT INTO stripe_customers (id, livemode) VALUES ('cus_1', TRUE)")
    await service.pool.execute("UPDATE customers SET stripe_customer_id = 'cus_1'")
    order = await order_for(service, ada, order_a)
    assert (await order_row(service, order))["stripe_customer_id"] != "cus_1"


async def test_a_repeated_order_for_a_customer_is_one(
    service: Service, ada: str, order_a: dict[str, Any]
) -> None:
    responses = await asyncio.gather(*(order_for(service, ada, order_a) for _ in range(3)))
    assert all(response == responses[0] for response in responses)
    assert await service.pool.fetchval("SELECT count(*) FROM stripe_customers") == 1


@pytest.mark.parametrize("key", [None, "x" * 32, "ключ", ""])
async def test_without_the_backends_key_no_customer_is_ordered_for(
    service: Service, ada: str, order_a: dict[str, Any], key: str | None
) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    body = order_a | {"customerId": ada}
    response = await service.client.post(CREATE_SESSION, json=body, headers=headers)
    assert (response.status, (await response.json())["code"]) == (401, "unauthenticated")
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 0


@pytest.mark.parametrize("customer_id", ["6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "1", "not an id"])
async def test_an_unknown_customer_is_named(
    service: Service, order_a: dict[str, Any], customer_id: str
) -> None:
    body = order_a | {"customerId": customer_id}
    response = await service.client.post(CREATE_SESSION, json=body, headers=BACKEND)
    assert response.status == 422
    assert list((await response.json())["fields"]) == ["customerId"]


async def test_with_a_key_and_no_customer_an_order_is_like_any_other(
    service: Service, order_a: dict[str, Any]
) -> None:
    order = await service.order(order_a, **BACKEND)
    assert (await service.stripe.pay(order["url"])).status == 303


async def test_other_credentials_of_a_browser_are_ignored(
    service: Service, order_a: dict[str, Any]
) -> None:
    await service.order(order_a, Authorization="Basic c2l0ZTpzdGFnaW5n")


async def test_a_customer_who_owes_cannot_order_more_if_so_set(
    service: Service, ada: str, order_a: dict[str, Any]
) -> None:
    """Until the invoice is paid; and never by an address alone."""
    trial = await order_for(service, ada, order_a | {"trialActive": True})
    await service.stripe.pay(trial["url"], NO_FUNDS_LATER)
    await service.stripe.advance_time(await service.stripe.now() + 15 * 86_400)
    await service.stripe.wait_idle()
    await service.pool.execute(OWED_BY_OUR_CLOCK)
    body = order_a | {"planId": "premium", "customerId": ada}
    accepted = await service.client.post(CREATE_SESSION, json=body, headers=BACKEND)
    assert accepted.status == 200, await accepted.text()
    settings = service.settings.model_copy(update={"debtor_orders": "refuse"})
    async with TestClient(TestServer(make_app(settings))) as strict:
        refused = await strict.post(CREATE_SESSION, json=body, headers=BACKEND)
        error = await refused.json()
        assert (refused.status, error["code"]) == (409, "customer_owes")
        assert "is unpaid" in error["fields"]["customerId"]
        unknown = await strict.post(CREATE_SESSION, json=order_a | {"planId": "premium"})
        assert unknown.status == 200
        await service.pool.execute(
            "UPDATE invoices SET stripe_status = 'paid' WHERE stripe_status = 'open'"
        )
        assert (await strict.post(CREATE_SESSION, json=body, headers=BACKEND)).status == 200
