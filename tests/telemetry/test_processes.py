"""Several processes of a machine, and one scrape that reports all of them."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.telemetry.multiprocess import VARIABLE
from tests.ports import unused_port
from tests.processes import ServiceProcess
from tests.telemetry.documented_metrics import (
    check_alerts,
    check_dashboard,
    check_panels_show_zero,
    check_table,
)
from tests.telemetry.monitored_service import MonitoredService, get
from tests.telemetry.scrape import Scrape, scrape

LIVE = "/api/health/live"

LEFT_TO_DO = """
WITH troubled AS (
    UPDATE tenant_services SET stopped = 'refused', desired = 'suspended'
), asked AS (
    INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)
    VALUES ('sub_elsewhere', 'subscription', 'test', now() + interval '1 day')
), polled AS (
    INSERT INTO stripe_event_polls AS p (livemode, polled_at, found_at)
    VALUES (FALSE, now(), now())
    ON CONFLICT (livemode) DO UPDATE SET found_at = now()
), sold AS (
    INSERT INTO billing_domains (subscription_id, customer_id, name, unicode_name, skeleton,
        registrable, mode, state)
    SELECT id, customer_id, 'a.example', 'a.example', 'a.example', 'a.example', 'register',
        'released'
    FROM subscriptions
    LIMIT 1
    RETURNING id
), charged AS (
    INSERT INTO billing_domain_renewals (domain_id, expires_on, amount, currency, livemode, pay_by)
    SELECT id, current_date, 1299, 'usd', FALSE, now() FROM sold
)
INSERT INTO pgqueuer (priority, status, entrypoint, execute_after)
VALUES (0, 'queued', 'provision', now() + interval '1 day')
"""
"""What each kind of waiting looks like; none of it is for a worker to do now."""

RECONCILED = """
INSERT INTO billing_reconcile_runs (started_by, livemode, dry_run, finished_at, outcome)
VALUES ('command', FALSE, FALSE, now(), 'clean')
"""


def requests(found: Scrape) -> float:
    return found.value("http_requests_total", route=LIVE, status="200")


async def processes(port: int, expected: int) -> Scrape:
    """Scrape until that many web processes are reported; each is once it runs."""
    async with asyncio.timeout(20):
        while True:
            found = await scrape(port)
            if found.value("processes", process="web") == expected:
                return found
            await asyncio.sleep(0.05)


async def test_either_process_reports_the_sum_and_dead_ones_still_count(
    monitored: MonitoredService, tmp_path: Path
) -> None:
    (first, port), (_, other_port) = await monitored.start_api(), await monitored.start_api()
    await get(port, LIVE, times=3)
    await get(other_port, LIVE, times=4)
    assert requests(await processes(port, 2)) == 7
    assert requests(await scrape(other_port)) == 7

    await first.kill()
    assert requests(await processes(other_port, 1)) == 7
    _, third_port = await monitored.start_api()
    await get(third_port, LIVE)
    found = await processes(third_port, 2)
    assert requests(found) == 8
    assert found.value("http_request_duration_seconds_count", route=LIVE) == 8
    marks = list((tmp_path / "metrics").glob("*.alive"))
    assert len(marks) == 2, "what the dead have left is cleared away"


async def test_a_file_that_a_crash_has_corrupted_is_left_out(
    monitored: MonitoredService, tmp_path: Path
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "1-dead.alive").touch()
    (folder / "counter_1-dead.db").write_bytes(os.urandom(4096))
    _, port = await monitored.start_api()
    await get(port, LIVE)
    assert requests(await scrape(port)) == 1


async def test_a_folder_that_cannot_be_used_is_named(
    monitored: MonitoredService, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monitored.environment[VARIABLE] = str(tmp_path / "file" / "folder")
    with pytest.raises(AssertionError, match=f"{VARIABLE}: .* cannot be used"):
        await monitored.start_api()


async def test_a_worker_alone_serves_its_own_metrics(monitored: MonitoredService) -> None:
    del monitored.environment[VARIABLE]
    port = unused_port()
    worker = await monitored.start_worker(WORKER_METRICS_PORT=str(port))
    found = await scrape(port)
    assert found.value("database_up") == 1
    assert found.value("pool_connections_max", process="worker") == 10
    assert "process_resident_memory_bytes" in found.families
    for path in ("/api/health", "/api/health/ready"):
        await get(port, path)
    assert (await scrape(port)).value("http_requests_total", status="200") >= 3
    assert await worker.stop() == 0


async def test_every_expression_and_the_documentation_read_what_is_exposed(
    monitored: MonitoredService, pool: Pool, offers: None, order_a: dict[str, Any]
) -> None:
    _, port = await monitored.start_api()
    worker: ServiceProcess = await monitored.start_worker()
    await monitored.buy(port, order_a)
    await pool.execute(RECONCILED)
    check_panels_show_zero(await scrape(port))
    await worker.stop()  # so that it does not do what is left to do
    await pool.execute(LEFT_TO_DO)
    _, fresh_port = await monitored.start_api()
    found = await processes(fresh_port, 2)
    assert found.value("jobs_total", job="provision", outcome="done") >= 1
    assert found.value("driver_calls_total", driver="log", action="create", outcome="done") >= 1
    assert found.value("stripe_calls_total", method="POST", outcome="ok") >= 2
    assert found.value("webhook_events_total", outcome="applied") >= 3
    check_alerts(found.labels())
    check_dashboard(found.labels())
    check_table(found)
