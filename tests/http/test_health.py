"""The health routes, for monitoring and for clients."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mpanel_billing.database.migrations import expected_version
from mpanel_billing.database.pool import Pool
from tests.postgres import MakeServer
from tests.service import AppClient, Service, make_app, make_settings

Clients = Callable[..., Awaitable[AppClient]]


@pytest.fixture
async def client(database_url: str, aiohttp_client: Clients) -> AppClient:
    return await aiohttp_client(make_app(make_settings(database_url=database_url)))


async def test_it_is_ready_when_database_and_schema_are(service: Service) -> None:
    answer = await service.client.get("/api/health/ready")
    assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_it_is_not_ready_on_an_older_schema(client: AppClient, pool: Pool) -> None:
    await pool.execute(
        "DELETE FROM billing_schema_migrations WHERE version = $1", expected_version()
    )
    [reason] = await unready(client)
    assert reason.endswith(f"not at {expected_version()}: run `mpanel-billing migrate up`")


@pytest.mark.parametrize(("ready_for", "status"), [("writes", 503), ("reads", 200)])
async def test_a_database_without_writes_is_ready_only_where_reading_is_enough(
    aiohttp_client: Clients, read_only_url: str, ready_for: str, status: int
) -> None:
    settings = make_settings(database_url=read_only_url, ready_for=ready_for)
    client = await aiohttp_client(make_app(settings))
    for path in ("/api/health/ready", "/api/health"):
        answer = await client.get(path)
        content = await answer.json()
        assert answer.status == status
        assert ("accepts no writes" in content.get("reason", "")) == (status == 503)
    assert (await client.get("/api/public/plans")).status == 200


async def test_what_is_sold_and_made_by_no_service_is_a_reason(
    database_url: str, aiohttp_client: Clients, offers: None
) -> None:
    services = {"hosting": {"driver": "log"}, "storage": {"driver": "log"}}
    settings = make_settings(database_url=database_url, provisioning_services=services)
    client = await aiohttp_client(make_app(settings))
    answer = await client.get("/api/health")
    content = await answer.json()
    assert (answer.status, content["status"]) == (200, "degraded")
    assert any("by no service: backup, cdn, email" in reason for reason in content["reasons"])
    metrics = await (await client.get("/metrics")).text()
    unmade = re.findall(r'mpanel_billing_products_unmade{product_type="(\w+)"} ([1-9])', metrics)
    assert {"backup", "cdn", "email"} <= dict(unmade).keys()
    assert 'products_unmade{product_type="hosting"} 0.0' in metrics


async def test_the_reason_is_that_of_the_moment(
    aiohttp_client: Clients, run_dir: Path, worker_id: str, make_server: MakeServer
) -> None:
    """First there is no database, then one without our schema."""
    postgres = make_server(run_dir / f"health-{worker_id}")
    postgres.start()
    postgres.create_database("health")
    url = postgres.url("health")
    postgres.stop()
    client = await aiohttp_client(make_app(make_settings(database_url=url)))
    assert await unready(client) == {"the database does not respond"}
    await asyncio.to_thread(postgres.start)
    try:
        is_at = f"the schema is at nothing, not at {expected_version()}"
        assert await unready(client) == {f"{is_at}: run `mpanel-billing migrate up`"}
    finally:
        await asyncio.to_thread(postgres.stop)


async def unready(client: AppClient) -> set[str]:
    """Return the reasons of both routes; the process lives nevertheless."""
    answers = [await client.get(path) for path in ("/api/health/ready", "/api/health")]
    contents = [await answer.json() for answer in answers]
    assert {answer.status for answer in answers} == {503}
    assert {content["status"] for content in contents} == {"unavailable"}
    assert (await client.get("/api/health/live")).status == 200
    return {content["reason"] for content in contents}


async def test_health_has_what_the_marketing_site_reads(client: AppClient) -> None:
    answer = await client.get("/api/health")
    content = await answer.json()
    assert (answer.status, content["status"]) == (200, "ok")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", content["timestamp"])
    assert content["reasons"] == []
    assert content["oldestUnappliedEventSeconds"] is None
    assert content["oldestUnprovisionedOrderSeconds"] is None


FAILED_EVENT = """
INSERT INTO stripe_events (id, type, livemode, payload, status, last_error, received_at)
VALUES ('evt_1', 'invoice.paid', FALSE, '{}', 'failed', 'x', now() - interval '1 hour')
"""
STUCK_ORDER = """
WITH made AS (
    INSERT INTO subscriptions (status, billing_provider, livemode, currency, amount, price,
        auto_renew)
    VALUES ('pending', 'stripe', FALSE, 'usd', 799, 7.99, FALSE)
    RETURNING id
)
INSERT INTO provisioning_work (subscription_id, inputs, created_at)
SELECT id, '{}', now() - interval '6 minutes' FROM made
"""
LATE_JOB = """
INSERT INTO pgqueuer (priority, status, entrypoint, execute_after)
VALUES (0, 'queued', 'provision', now() - interval '10 minutes')
"""
SILENT_WORKER = """
INSERT INTO pgqueuer_schedules (expression, entrypoint, last_run)
VALUES ('* * * * *', 'sweep', now() - interval '7 minutes')
"""


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (FAILED_EVENT, "a Stripe event has not been applied for 60 min (see billing_trouble)"),
        (STUCK_ORDER, "a paid order has waited 6 min for provisioning (see billing_trouble)"),
        (LATE_JOB, "a job has waited 10 min for a worker"),
        (SILENT_WORKER, "no worker has looked for work for 7 min"),
    ],
    ids=["event", "order", "job", "worker"],
)
async def test_late_work_shows_in_health_and_takes_no_instance_out_of_rotation(
    client: AppClient, pool: Pool, trouble: str, reason: str
) -> None:
    await pool.execute(trouble)
    answer = await client.get("/api/health")
    content = await answer.json()
    assert (answer.status, content["status"]) == (200, "degraded")
    assert content["reasons"] == [reason]
    ages = [content[f"oldest{what}Seconds"] for what in ("UnappliedEvent", "UnprovisionedOrder")]
    assert [age is not None for age in ages] == [trouble is FAILED_EVENT, trouble is STUCK_ORDER]
    assert (await client.get("/api/health/ready")).status == 200
