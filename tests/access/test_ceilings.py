"""Ceilings and networks of keys: what a leaked key cannot do, also in the same instant."""

import asyncio
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.ceilings import RefundCeilingError, count_refund, give_back_refund
from mpanel_billing.database.pool import Pool, transaction
from tests.access.conftest import Issue, bearer
from tests.service import AppClient, Service

EVENTS = "/api/admin/events"


async def test_a_key_opens_nothing_from_outside_its_networks(
    client: AppClient, issue: Issue
) -> None:
    networks = (ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))
    key = await issue("admin:read", networks=networks)
    for address, status in [
        ("10.1.2.3", 200),
        ("::ffff:10.1.2.3", 200),
        ("2001:db8::1", 200),
        ("10.2.0.1", 403),
        ("2001:db9::1", 403),
        ("10.1.2.3, 192.0.2.1", 403),  # the first is only claimed by the second
    ]:
        headers = bearer(key.text) | {"X-Forwarded-For": address}
        answer = await client.get(EVENTS, headers=headers)
        assert answer.status == status, address
        if status == 403:
            assert (await answer.json())["code"] == "network_refused"
    assert (await client.get(EVENTS, headers=bearer(key.text))).status == 403


async def test_a_key_makes_no_more_calls_in_a_minute_than_its_ceiling_also_at_once(
    client: AppClient, issue: Issue, pool: Pool
) -> None:
    key, other = await issue("admin:read", calls_per_minute=3), await issue("admin")

    async def call() -> tuple[int, str | None]:
        answer = await client.get(EVENTS, headers=bearer(key.text))
        return answer.status, answer.headers.get("Retry-After")

    await begin_minute(pool)
    answers = await asyncio.gather(*(call() for _ in range(8)))
    assert sorted(status for status, _ in answers) == [200] * 3 + [429] * 5
    assert all(1 <= int(after) <= 60 for status, after in answers if status == 429 and after)
    assert (await client.get(EVENTS, headers=bearer(other.text))).status == 200
    await pool.execute("UPDATE billing_key_usage SET since = since - interval '1 minute'")
    assert (await call())[0] == 200


async def begin_minute(pool: Pool) -> None:
    """Wait out the last two seconds of a minute: calls of one test must not be in two."""
    left = await pool.fetchval("SELECT 60 - extract(second FROM now())::float8")
    if left < 2:
        await asyncio.sleep(left + 0.01)


async def test_refunds_at_once_never_exceed_the_ceiling_of_a_key(pool: Pool, issue: Issue) -> None:
    by = Actor("desk", (await issue("billing:refund", refunds_per_day=1000)).id)

    async def refund(amount: int, currency: str = "usd") -> bool:
        with suppress(RefundCeilingError):
            async with transaction(pool) as conn:
                await count_refund(conn, by, amount, currency)
                await asyncio.sleep(0)
            return True
        return False

    assert not await refund(1001)
    assert sum(await asyncio.gather(*(refund(300) for _ in range(8)))) == 3
    assert await refund(1000, "EUR"), "each currency has its own"
    assert await refund(100)
    assert not await refund(1)
    await give_back_refund(pool, by, 100, "usd")
    assert await refund(100)
    await pool.execute("UPDATE billing_key_usage SET since = since - interval '1 day'")
    assert await refund(1000)


async def test_a_key_refunds_up_to_its_ceiling_and_the_rest_stays_with_us(
    service: Service, order_a: dict[str, Any], issue: Issue
) -> None:
    customer, invoice = await bought(service, order_a)
    key = await issue("billing:refund", refunds_per_day=300)

    async def refund(amount: int, **headers: str) -> tuple[int, Any]:
        answer = await service.client.post(
            f"/api/billing/invoices/{invoice}/refund",
            json={"customerId": customer, "amount": amount},
            headers=bearer(key.text) | headers,
        )
        return answer.status, await answer.json()

    status, body = await refund(301)
    assert (status, body["code"]) == (429, "refund_ceiling_reached")
    assert body["error"] == "This key may refund $3.00 a day."
    for _ in range(2):  # a repeat is the same refund, and is counted once
        assert (await refund(200, **{"Idempotency-Key": "r-1"}))[0] == 200
    await service.stripe.inject_fault("status", path="/v1/refunds", status=400, times=1)
    refused = await refund(100, **{"Idempotency-Key": "r-2"})
    assert refused[0] >= 400, "Stripe refused it, and it is given back"
    assert (await refund(100, **{"Idempotency-Key": "r-3"}))[0] == 200
    assert (await refund(1))[0] == 429
    assert await service.pool.fetchval("SELECT sum(amount) FROM stripe_refunds") == 300


async def bought(service: Service, order: dict[str, Any]) -> tuple[str, str]:
    await service.buy(order)
    row = await service.row("SELECT id, customer_id FROM invoices")
    return str(row["customer_id"]), str(row["id"])
