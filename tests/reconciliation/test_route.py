"""/api/admin/reconcile, and its worker."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mpanel_billing.reconciliation import runs
from mpanel_billing.reconciliation.runs import RunRequest, cron_of, request_daily_run
from mpanel_billing.worker.sweep import sweep
from tests.processes import running_worker
from tests.reconciliation.conftest import Reconciler
from tests.service import AppClient, Service, make_app, make_settings

KEY = "an operator's key for tests"
AS_OPERATOR = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
async def admin(
    service: Service, database_url: str, aiohttp_client: Callable[..., Awaitable[AppClient]]
) -> AppClient:
    settings = make_settings(
        database_url=database_url, stripe_api_base=service.sandbox.url, admin_api_keys=KEY
    )
    return await aiohttp_client(make_app(settings), headers=AS_OPERATOR)


async def post(admin: AppClient, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = await admin.post("/api/admin/reconcile", json=body)
    return response.status, await response.json()


async def test_a_worker_runs_the_requested_reconcile(
    service: Service, admin: AppClient, database_url: str, order_a: dict[str, Any]
) -> None:
    latest = await admin.get("/api/admin/reconcile/latest")
    assert await latest.json() == {"success": True, "run": None}
    await service.buy(order_a)
    await service.pool.execute("UPDATE subscriptions SET amount = 1")
    status, body = await post(admin, {})
    assert status == 202
    async with running_worker(database_url, stripe_url=service.sandbox.url) as worker:
        await worker.wait_for("reconcile done")
    latest = await admin.get("/api/admin/reconcile/latest")
    run = (await latest.json())["run"]
    assert run["id"] == body["runId"]
    assert (run["outcome"], run["running"], run["startedBy"]) == ("repaired", False, "api")
    assert (run["drift"], run["repaired"]) == (1, 1)
    assert (await service.row("SELECT amount FROM subscriptions"))["amount"] > 1


async def test_only_one_run_at_a_time_and_an_interrupted_one_resumes(
    admin: AppClient, reconciler: Reconciler
) -> None:
    status, first = await post(admin, {"dryRun": True, "sinceDays": 5})
    assert status == 202
    assert await post(admin, {"dryRun": True, "sinceDays": 5}) == (202, first)
    await reconciler.service.pool.execute(
        "UPDATE billing_reconcile_runs SET holder = gen_random_uuid(),"
        " leased_until = now() + interval '1 minute'"
    )
    status, body = await post(admin, {})
    assert (status, body["code"]) == (409, "conflict")


@pytest.mark.parametrize("body", [{"sinceDays": 0}, {"dry": True}, [], {"dryRun": "maybe"}])
async def test_an_invalid_request_is_refused(admin: AppClient, body: Any) -> None:
    status, response = await post(admin, body)
    assert (status, response["success"]) == (422, False)


async def test_the_daily_run_starts_once(service: Service, reconciler: Reconciler) -> None:
    assert cron_of(3) == "23 3 * * *"
    await request_daily_run(reconciler.context.mirror)
    await request_daily_run(reconciler.context.mirror)
    rows = await service.pool.fetch("SELECT started_by FROM billing_reconcile_runs")
    assert [row["started_by"] for row in rows] == ["schedule"]


async def test_the_sweep_resumes_a_run_that_a_worker_left(service: Service) -> None:
    await runs.request_run(service.pool, RunRequest("schedule", livemode=False))
    assert (await sweep(service.pool))["reconciles"] == 0
    await service.pool.execute("UPDATE billing_reconcile_runs SET next_attempt_at = now()")
    assert (await sweep(service.pool))["reconciles"] == 1


async def test_the_sweep_ignores_runs_of_the_command(service: Service) -> None:
    await runs.open_run(service.pool, RunRequest("command", livemode=False))
    assert (await sweep(service.pool))["reconciles"] == 0
