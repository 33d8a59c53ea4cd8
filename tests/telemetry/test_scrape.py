"""The metrics of one process: read from the database, counted, and how many series there are."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import load_queries
from mpanel_billing.errors import StripeError
from mpanel_billing.http import keys
from mpanel_billing.http.routes.webhooks import count_event
from mpanel_billing.revenue.folding import fold_movements
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from mpanel_billing.stripe_gateway.hosted_pages import create_customer, expire_checkout_session
from mpanel_billing.telemetry.counters import REFUSALS
from mpanel_billing.telemetry.figures import FigureReader
from stripe_sandbox.client import SandboxClient
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.mpanel.databases import HERE
from tests.provisioning.conftest import ProvisioningSystem, system, world
from tests.service import WEBHOOK_SECRET, AppClient, make_app, make_settings
from tests.telemetry.scrape import Scrape, read_metrics

__all__ = ["system", "world"]

Clients = Callable[..., Awaitable[AppClient]]


@pytest.fixture
async def client(database_url: str, aiohttp_client: Clients) -> AppClient:
    return await aiohttp_client(make_app(make_settings(database_url=database_url)))


async def scrape(client: AppClient) -> Scrape:
    answer = await client.get("/metrics")
    assert answer.status == 200
    return read_metrics(await answer.text())


async def test_without_a_database_the_process_still_reports_its_own_metrics(
    aiohttp_client: Clients,
) -> None:
    client = await aiohttp_client(make_app(make_settings()))
    found = await scrape(client)
    assert found.value("database_up") == 0
    assert found.value("pool_connections_max", process="web") == 10
    assert "process_resident_memory_bytes" in found.families
    assert found.all("inbox_events") == []


async def test_without_our_tables_the_process_still_reports_its_own_metrics(
    empty_database_url: str, aiohttp_client: Clients
) -> None:
    settings = make_settings(database_url=empty_database_url)
    client = await aiohttp_client(make_app(settings))
    assert (await scrape(client)).value("database_up") == 0


async def test_an_idle_database_shows_nothing_late(client: AppClient) -> None:
    found = await scrape(client)
    assert found.value("database_up") == 1
    for age in (
        "inbox_oldest_seconds",
        "orders_unprovisioned_oldest_seconds",
        "queue_oldest_seconds",
        "refetches_due_oldest_seconds",
        "refetches_failing_oldest_seconds",
    ):
        assert found.value(age) == 0


async def test_a_failed_event_shows_with_its_age(client: AppClient, pool: Pool) -> None:
    await pool.execute(
        """INSERT INTO stripe_events (id, type, livemode, payload, status, last_error, received_at)
           VALUES ('evt_1', 'invoice.paid', FALSE, '{}', 'failed', 'x', now() - interval '1 hour')
        """
    )
    found = await scrape(client)
    assert found.value("inbox_events", status="failed") == 1
    assert found.value("inbox_oldest_seconds", status="failed") >= 3600
    assert found.value("inbox_oldest_seconds", status="received") == 0


async def test_a_paid_order_shows_until_it_is_provisioned(
    client: AppClient, system: ProvisioningSystem
) -> None:
    system.world.misbehave("hosting", "fail_before")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    stuck = await FigureReader(system.pool).read()
    assert stuck.get("orders_unprovisioned") == 1
    assert (stuck.get("orders_unprovisioned_oldest_seconds") or 0) > 0
    assert stuck.get("services_unsettled", "active", "absent", "waiting") == 1
    assert stuck.get("provisioning_troubled") == 1
    assert stuck.get("subscriptions", "active") == 1

    await system.make_due()
    assert (await system.run()).done
    found = await scrape(client)
    assert found.value("orders_unprovisioned") == 0
    assert found.all("services_unsettled") == []
    assert found.value("services", actual="active") >= 1
    assert found.value("queue_jobs", job="provision", status="queued") >= 1


async def test_merges_of_the_last_day_show(client: AppClient, pool: Pool) -> None:
    await pool.execute(
        """WITH made AS (
               INSERT INTO customers SELECT FROM generate_series(1, 4) RETURNING id
           ), numbered AS (
               SELECT id, row_number() OVER (ORDER BY id) AS n FROM made
           )
           INSERT INTO billing_merges
               (customer_id, into_id, merged_by, merged_at, undone_by, undone_at)
           SELECT one.id, other.id, 'panel', now() - make_interval(hours => 8 * one.n::int),
               CASE WHEN one.n = 2 THEN 'panel' END, CASE WHEN one.n = 2 THEN now() END
           FROM numbered AS one JOIN numbered AS other ON other.n = 4 AND one.n < 4
        """
    )
    found = await scrape(client)
    assert [found.value("merges", state=state) for state in ("standing", "undone")] == [1, 1]


async def test_subscriptions_told_of_taxes_show_until_they_are_taxed(
    client: AppClient, pool: Pool
) -> None:
    await pool.execute(
        """WITH made AS (
               INSERT INTO subscriptions (price) SELECT 0 FROM generate_series(1, 5) RETURNING id
           ), numbered AS (
               SELECT id, row_number() OVER () AS n FROM made
           )
           INSERT INTO billing_tax_notices (subscription_id, currency, total_before, total, tax,
               not_before, told_by, next_attempt_at, left_because, enabled_at)
           SELECT s.id, 'usd', 1000, 1083, 83, now(), 'panel', t.at, t.why, t.done
           FROM (VALUES
               (1, now(), NULL, NULL), (2, now(), NULL, NULL), (3, now(), 'no address', NULL),
               (4, now(), NULL, now()), (5, 'infinity', 'it has ended', NULL)
           ) AS t (n, at, why, done)
           JOIN numbered AS s USING (n)
        """
    )
    found = await scrape(client)
    assert [found.value("tax_notices", state=state) for state in ("running", "left")] == [2, 1]


async def test_requested_refetches_show(client: AppClient, pool: Pool) -> None:
    await pool.execute(
        """INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at,
               requested_at, last_error)
           VALUES ('sub_1', 'subscription', 'x', now() - interval '10 minutes', now(), NULL),
                  ('sub_2', 'subscription', 'x', now() + interval '1 hour',
                   now() - interval '2 hours', 'HTTP 401')
        """
    )
    found = await scrape(client)
    assert [found.value("refetches", state=state) for state in ("due", "later")] == [1, 1]
    assert 600 <= found.value("refetches_due_oldest_seconds") < 700
    assert found.value("refetches_failing") == 1
    assert found.value("refetches_failing_oldest_seconds") >= 7200


async def test_the_latest_finished_reconcile_shows(client: AppClient, pool: Pool) -> None:
    await pool.execute(
        """INSERT INTO billing_reconcile_runs (started_by, livemode, dry_run, started_at,
               finished_at, outcome, objects, drift, repaired)
           VALUES ('schedule', FALSE, FALSE, now() - interval '26 hours',
                   now() - interval '25 hours', 'drift', 1000, 3, 2),
                  ('command', FALSE, TRUE, now() - interval '1 hour', now(), 'clean', 7, 0, 0)
        """
    )
    found = await scrape(client)
    assert found.value("reconcile_finished_seconds") >= 25 * 3600
    kinds = ("objects", "drift", "repaired")
    assert [found.value("reconcile", kind=kind) for kind in kinds] == [1000, 3, 2]


async def test_finished_events_of_a_large_inbox_are_estimated(pool: Pool) -> None:
    await pool.execute(
        """INSERT INTO stripe_events (id, type, livemode, payload, status, applied_at)
           SELECT 'evt_' || n, repeat('x', 200), FALSE, '{}',
               CASE WHEN n % 4 = 0 THEN 'ignored' ELSE 'applied' END, now()
           FROM generate_series(1, 60000) AS n
        """
    )
    await pool.execute("ANALYZE stripe_events")
    figures = await FigureReader(pool).read()
    assert figures.get("inbox_events", "applied") == pytest.approx(45_000, rel=0.1)
    assert figures.get("inbox_events", "ignored") == pytest.approx(15_000, rel=0.1)
    assert figures.get("inbox_events", "failed") == 0


OF_FIGURES = (
    "stripe_events_oldest_unhandled_idx",
    "stripe_events_received_idx",
    "stripe_refetches_due_idx",
    "billing_refetches_failing_idx",
    "pgqueuer_pkey",
    "billing_services_unsettled_idx",
    "billing_subscriptions_attention_idx",
    "provisioning_work_pkey",
    "provisioning_work_troubled_idx",
    "billing_merges_merged_idx",
    "billing_tax_notices_due_idx",
)


async def test_the_figures_read_only_what_waits(pool: Pool) -> None:
    async with acquired(pool) as conn:
        await conn.execute("SET billing.subscriptions = 2000")
        await conn.execute((HERE / "many_rows.sql").read_text())
        await conn.execute("SET enable_seqscan = off")
        sql = load_queries("monitoring").read_figures.sql
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {sql}"))
    assert [index for index in OF_FIGURES if f"{index} " not in plan] == []
    assert "Gather" not in plan  # starting helpers would cost more than the statement


async def test_the_database_is_read_once_however_often_monitoring_scrapes(pool: Pool) -> None:
    reader = FigureReader(pool)
    first = await reader.read()
    assert await reader.read() is first


async def test_the_latest_event_that_a_webhook_delivered_has_an_age(
    client: AppClient, pool: Pool
) -> None:
    await pool.execute(
        """INSERT INTO stripe_events
               (id, type, livemode, payload, status, applied_at, received_at, created)
           SELECT id, 'invoice.paid', FALSE, '{}', 'applied', now(), now() - received,
               now() - created
           FROM (VALUES ('evt_delivered', interval '7 hours', interval '7 hours 1 minute'),
                        ('evt_replayed', interval '1 hour', interval '9 hours')
           ) AS e (id, received, created)
        """
    )
    assert (await scrape(client)).value("webhook_latest_seconds") == pytest.approx(25_200, rel=0.1)


async def test_without_an_event_the_latest_has_no_age(client: AppClient) -> None:
    assert (await scrape(client)).all("webhook_latest_seconds") == []


async def test_troubles_are_counted_by_kind_and_those_that_are_not_there_are_0(
    client: AppClient, pool: Pool
) -> None:
    await pool.execute(
        """INSERT INTO stripe_events (id, type, livemode, payload, status, last_error, received_at)
           SELECT 'evt_' || n, 'invoice.paid', FALSE, '{}', 'failed', 'x', now() - interval '1 hour'
           FROM generate_series(1, 3) AS n
        """
    )
    kinds = await pool.fetch("SELECT kind FROM billing_trouble_kinds WHERE list = 'trouble'")
    found = await scrape(client)
    assert found.value("trouble") == found.value("trouble", kind="event_failed") == 3
    assert {labels["kind"] for labels in found.all("trouble")} == {row["kind"] for row in kinds}


async def test_figures_are_reported_while_the_troubles_cannot_be_read(
    client: AppClient, pool: Pool
) -> None:
    await pool.execute("ALTER VIEW billing_trouble RENAME TO elsewhere")
    await pool.execute("DROP VIEW billing_trouble_kinds")
    found = await scrape(client)
    assert (found.value("database_up"), found.all("trouble")) == (1, [])


async def test_the_revenue_is_shown_by_currency_with_what_has_not_moved(
    client: AppClient, pool: Pool, inbox: Inbox
) -> None:
    now = int(time.time())
    about = made.subscription(start=now) | {"start_date": now, "created": now}
    await inbox.deliver("customer.subscription.created", about, created=now)
    await fold_movements(pool)
    found = await scrape(client)
    usd = {"currency": "usd", "livemode": "false"}
    assert (found.value("mrr", **usd), found.value("mrr_customers", **usd)) == (799, 1)
    assert found.value("mrr_moved", **usd, kind="new") == 799
    assert found.value("mrr_moved_customers", **usd, kind="churn") == 0
    assert found.value("payments", **usd, kind="recovered") == 0


async def test_odd_requests_create_no_series_of_their_own(client: AppClient) -> None:
    await client.get("/api/nothing")
    before = len((await scrape(client)).samples)
    for number in range(20):
        await client.get(f"/api/nothing/{number}")
        await client.get(f"/api/marketing-api/products/{number}")
        await client.request(f"ODD{number}", "/api/nothing")
        await client.post(
            "/api/webhooks/stripe", data=b"{}", headers={"Stripe-Signature": f"t={number}"}
        )
    found = await scrape(client)
    assert {labels["route"] for labels in found.all("http_requests_total")} >= {
        "(none)",
        "/api/marketing-api/products/{id}",
    }
    assert {labels["reason"] for labels in found.all("webhooks_refused_total")} == {
        *REFUSALS,
        "other",
    }
    # a route and a method more with each of its buckets, and a few statuses
    assert len(found.samples) - before < 100


async def test_what_an_alert_counts_begins_at_0(client: AppClient) -> None:
    """`increase` does not see what a series is born with: a burst would go unnoticed."""
    found = await scrape(client)
    counted = {"type": "refund.created", "outcome": "applied"}
    assert counted in found.all("webhook_events_total")
    assert found.all("pool_timeouts_total") == [{}]


async def test_events_of_odd_types_count_as_one(client: AppClient) -> None:
    for number in range(20):
        count_event(f"odd.type_{number}", "ignored")
    types = {labels["type"] for labels in (await scrape(client)).all("webhook_events_total")}
    assert "other" in types
    assert not any(name.startswith("odd") for name in types)


async def test_calls_to_stripe_are_counted_by_outcome(
    gateway: StripeGateway, stripe: SandboxClient, client: AppClient
) -> None:
    def calls(found: Scrape, resource: str, outcome: str) -> float:
        return found.value("stripe_calls_total", method="POST", resource=resource, outcome=outcome)

    before = await scrape(client)
    await create_customer(gateway, {"email": "ada@example.com"}, "key-1")
    await stripe.inject_fault("status", status=500, times=1)
    with pytest.raises(StripeError):
        await create_customer(gateway, {"email": "ada@example.com"}, "key-2")
    with pytest.raises(StripeError):
        await expire_checkout_session(gateway, "cs_of_nobody")
    away = open_gateway(make_settings(stripe_api_base="http://127.0.0.1:1"))
    with pytest.raises(StripeError):
        await create_customer(away, {"email": "ada@example.com"}, "key-3")
    await away.close()
    after = await scrape(client)

    def grown(resource: str, outcome: str) -> float:
        return calls(after, resource, outcome) - calls(before, resource, outcome)

    assert grown("customers", "ok") == 1
    assert grown("customers", "broke") == 3  # the SDK tries twice more
    assert grown("checkout/sessions", "refused") == 1
    assert grown("customers", "unreachable") == 3
    assert all("cs_" not in labels["resource"] for labels in after.all("stripe_calls_total"))


async def test_requests_that_get_no_connection_are_counted(
    database_url: str, aiohttp_client: Clients
) -> None:
    settings = make_settings(database_url=database_url, database_pool_min=0, database_pool_max=1)
    client = await aiohttp_client(make_app(settings))
    before = await scrape(client)
    pool = client.app[keys.POOL]  # type: ignore[union-attr]
    async with acquired(pool):
        ready = await client.get("/api/health/ready")
        assert ready.status == 503
        assert "all 1 connections" in (await ready.json())["reason"]
    found = await scrape(client)
    assert found.value("pool_timeouts_total") - before.value("pool_timeouts_total") == 1
    assert found.value("pool_waiting") == 0


async def test_an_event_is_counted_with_its_age_and_its_batch(client: AppClient) -> None:
    before = await scrape(client)
    body = made.encoded(made.event("customer.subscription.created", made.subscription()))
    signed = {"Stripe-Signature": made.sign(body, WEBHOOK_SECRET)}
    answer = await client.post("/api/webhooks/stripe", data=body, headers=signed)
    assert answer.status == 200
    found = await scrape(client)

    def grown(name: str, **labels: Any) -> float:
        return found.value(name, **labels) - before.value(name, **labels)

    assert (
        grown("webhook_events_total", type="customer.subscription.created", outcome="applied") == 1
    )
    assert grown("webhook_event_age_seconds_count") == 1
    assert grown("webhook_apply_seconds_count") == 1
    assert grown("webhook_batch_events_sum") == 1
