"""/api/admin/reconcile, and the worker that does it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mpanel_billing.reconciliation import service as reconciling
from mpanel_billing.reconciliation.schedule import cron_of, request_daily_run
from mpanel_billing.reconciliation.service import Wish
from mpanel_billing.worker.sweep import sweep
from tests.processes import running_worker
from tests.reconciliation.conftest import Reconciler
from tests.service import AppClient, Service, make_app, make_settings

KEY = "an operator's key of the tests"
AS_OPERATOR = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
async def admin(
    service: Service, database_url: str, aiohttp_client: Callable[..., Awaitable[AppClient]]
) -> AppClient:
    settings = make_settings(
        database_url=database_url, stripe_api_base=service.sandbox.url, admin_api_keys=KEY
    )
    return await aiohttp_client(make_app(settings), headers=AS_OPERATOR)


async def ask(admin: AppClient, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await admin.post("/api/admin/reconcile", json=body)
    return answer.status, await answer.json()


async def test_a_worker_does_what_the_route_was_asked_for(
    service: Service, admin: AppClient, database_url: str, order_a: dict[str, Any]
) -> None:
    latest = await admin.get("/api/admin/reconcile/latest")
    assert await latest.json() == {"success": True, "run": None}
    await service.buy(order_a)
    await service.pool.execute("UPDATE subscriptions SET amount = 1")
    status, body = await ask(admin, {})
    assert status == 202
    async with running_worker(database_url, stripe_url=service.sandbox.url) as worker:
        await worker.wait_for("reconcile done")
    latest = await admin.get("/api/admin/reconcile/latest")
    run = (await latest.json())["run"]
    assert run["id"] == body["runId"]
    assert (run["outcome"], run["running"], run["startedBy"]) == ("repaired", False, "api")
    assert (run["drift"], run["repaired"]) == (1, 1)
    assert (await service.row("SELECT amount FROM subscriptions"))["amount"] > 1


async def test_one_runs_at_a_time_and_a_stopped_one_is_gone_on_with(
    admin: AppClient, reconciler: Reconciler
) -> None:
    status, first = await ask(admin, {"dryRun": True, "sinceDays": 5})
    assert status == 202
    assert await ask(admin, {"dryRun": True, "sinceDays": 5}) == (202, first)
    await reconciler.service.pool.execute(
        "UPDATE billing_reconcile_runs SET holder = gen_random_uuid(),"
        " leased_until = now() + interval '1 minute'"
    )
    status, body = await ask(admin, {})
    assert (status, body["code"]) == (409, "conflict")


@pytest.mark.parametrize("body", [{"sinceDays": 0}, {"dry": True}, [], {"dryRun": "maybe"}])
async def test_a_wish_that_cannot_be_understood_is_refused(admin: AppClient, body: Any) -> None:
    status, answer = await ask(admin, body)
    assert (status, answer["success"]) == (422, False)


async def test_the_run_of_the_day_is_begun_once(service: Service, reconciler: Reconciler) -> None:
    assert cron_of(3) == "23 3 * * *"
    await request_daily_run(reconciler.context.mirror)
    await request_daily_run(reconciler.context.mirror)
    rows = await service.pool.fetch("SELECT started_by FROM billing_reconcile_runs")
    assert [row["started_by"] for row in rows] == ["schedule"]


async def test_the_sweep_takes_up_what_a_worker_has_left(service: Service) -> None:
    await reconciling.request_run(service.pool, Wish("schedule", livemode=False))
    assert (await sweep(service.pool))["reconciles"] == 0
    await service.pool.execute("UPDATE billing_reconcile_runs SET next_attempt_at = now()")
    assert (await sweep(service.pool))["reconciles"] == 1


async def test_a_run_of_the_command_is_left_to_whoever_began_it(service: Service) -> None:
    await reconciling.open_run(service.pool, Wish("command", livemode=False))
    assert (await sweep(service.pool))["reconciles"] == 0
