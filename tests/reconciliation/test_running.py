"""An interrupted run resumes, two never run at once, and newer data is never overwritten."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.errors import ConflictError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.reconciliation import runs
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.reconciliation.runs import RunRequest
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import Page, Resource
from tests.reconciliation.conftest import UNLIMITED, Reconciler, StripeWrapper
from tests.service import Service

COPIES = 230
OBJECTS = 4 * (COPIES + 1) + 1
"""Customers, subscriptions, invoices and payments, and the one charge that is no copy."""
"""Three pages of each type, including the original."""

ALL_BUT_ONE = 2 + 4 * 3 + 1 - 1
"""Pages; when the last is requested, at least the first of each type is saved."""

REQUEST = RunRequest("command", livemode=False)


class StopsAt(StripeWrapper):
    """Returns some pages (of one path), then hangs; `reached` is set by the request that hangs.

    `returned` counts the objects and events of the pages.
    """

    def __init__(self, stripe: Any, pages: int, path: str | None = None) -> None:
        super().__init__(stripe)
        self._left = pages
        self._path = path
        self.reached = asyncio.Event()
        self.returned = 0

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        if self._path in {None, resource.path}:
            if self._left == 0:
                self.reached.set()
                await asyncio.Event().wait()
            self._left -= 1
        page = await super().list_page(resource, params)
        self.returned += len(page.objects)
        return page


class Counts(StripeWrapper):
    """Records the paths of the lists read."""

    def __init__(self, stripe: Any) -> None:
        super().__init__(stripe)
        self.listed: list[str] = []

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        self.listed.append(resource.path)
        return await super().list_page(resource, params)


def test_whatever_is_read_is_paced() -> None:
    reads = {name for name in vars(StripeGateway) if name.startswith(("list_", "fetch"))}
    assert reads <= {*vars(PacedStripe)}


@pytest.fixture
async def crowd(service: Service, order_a: dict[str, Any]) -> Service:
    """One order, and copies of it at Stripe that no webhook has announced."""
    await service.buy(order_a)
    row = await service.row("SELECT stripe_subscription_id FROM subscriptions")
    await service.stripe.copy_subscription(row["stripe_subscription_id"], COPIES, days=90)
    return service


async def start_and_stop(reconciler: Reconciler, pages: int, path: str | None = None) -> UUID:
    """Start a run, and interrupt it once it has saved some pages."""
    run_id = await runs.open_run(reconciler.service.pool, REQUEST)
    stripe = StopsAt(reconciler.context.mirror.stripe, pages, path)
    running = asyncio.create_task(
        runs.continue_run(reconciler.with_stripe(stripe), run_id), name="run"
    )
    async with asyncio.timeout(30):
        await stripe.reached.wait()
        await _until_saved(reconciler.service, run_id, stripe)
    with pytest.raises(ConflictError):
        await runs.open_run(reconciler.service.pool, REQUEST)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return run_id


async def _until_saved(service: Service, run_id: UUID, stripe: StopsAt) -> None:
    """Wait for the pages that are in progress at the same time as the one that hangs."""
    saved = "SELECT objects + events FROM billing_reconcile_runs WHERE id = $1"
    while await service.pool.fetchval(saved, run_id) < stripe.returned:  # noqa: ASYNC110 - nothing to wait on
        await asyncio.sleep(0.01)


async def test_an_interrupted_run_resumes_where_it_stopped(
    crowd: Service, reconciler: Reconciler
) -> None:
    stopped = await start_and_stop(reconciler, pages=ALL_BUT_ONE)
    stripe = Counts(reconciler.context.mirror.stripe)
    result = await reconciler.run(context=reconciler.with_stripe(stripe))
    assert result.figures["id"] == stopped
    assert result.figures["objects"] == OBJECTS
    assert 1 <= len(stripe.listed) <= 4 * 3 + 1 - 4
    assert (result.figures["drift"], result.figures["repaired"]) == (4 * COPIES, 4 * COPIES)

    mirrored = await crowd.row("SELECT count(*) FROM subscriptions WHERE stripe_status = 'active'")
    assert mirrored["count"] == COPIES + 1
    paid = await crowd.row("SELECT count(*) FROM invoices WHERE stripe_payment_intent_id <> ''")
    assert paid["count"] == COPIES + 1

    again = await reconciler.run()
    assert (again.figures["outcome"], again.figures["id"] == stopped) == ("clean", False)


async def test_a_worker_that_stops_leaves_the_run_to_another(
    crowd: Service, reconciler: Reconciler
) -> None:
    run_id = await runs.open_run(crowd.pool, replace(REQUEST, started_by="api"))
    stripe = StopsAt(reconciler.context.mirror.stripe, pages=4)
    await runs.run_due(reconciler.with_stripe(stripe), run_id, stripe.reached)
    row = await crowd.row("SELECT finished_at, holder, objects FROM billing_reconcile_runs")
    assert (row["finished_at"], row["holder"]) == (None, None)
    await runs.run_due(reconciler.context, run_id, asyncio.Event())
    row = await crowd.row("SELECT outcome, attempts, objects FROM billing_reconcile_runs")
    assert tuple(row) == ("repaired", 2, OBJECTS)


async def test_a_run_of_the_other_mode_is_left_to_its_own_worker(
    crowd: Service, reconciler: Reconciler
) -> None:
    """To this one's key, everything of it would seem to be deleted at Stripe."""
    run_id = await runs.open_run(crowd.pool, replace(REQUEST, livemode=True))
    assert not await runs.continue_run(reconciler.context, run_id)
    row = await crowd.row("SELECT attempts, holder FROM billing_reconcile_runs")
    assert tuple(row) == (0, None)


async def test_restart_starts_over(crowd: Service, reconciler: Reconciler) -> None:
    stopped = await start_and_stop(reconciler, pages=3)
    other = await runs.open_run(
        crowd.pool, RunRequest("command", livemode=False, since_days=3, restart=False)
    )
    restarted = await runs.open_run(
        crowd.pool, RunRequest("command", livemode=False, since_days=3, restart=True)
    )
    assert len({stopped, other, restarted}) == 3
    outcomes = await crowd.pool.fetch(
        "SELECT outcome FROM billing_reconcile_runs ORDER BY started_at"
    )
    assert [row["outcome"] for row in outcomes] == ["abandoned", "abandoned", None]


async def test_marks_lost_in_a_crash_are_rebuilt(crowd: Service, reconciler: Reconciler) -> None:
    await reconciler.run()
    await start_and_stop(reconciler, pages=ALL_BUT_ONE)
    await crowd.pool.execute("TRUNCATE billing_reconcile_marks")
    stripe = Counts(reconciler.context.mirror.stripe)
    result = await reconciler.run(context=reconciler.with_stripe(stripe))
    assert result.figures["outcome"] == "clean"
    assert stripe.listed.count("/v1/subscriptions") == 3


async def test_the_object_of_a_cursor_may_be_deleted(
    crowd: Service, reconciler: Reconciler
) -> None:
    await reconciler.run()
    await start_and_stop(reconciler, pages=2, path="/v1/customers")
    cursors = await crowd.pool.fetch(
        "SELECT cursor_id FROM billing_reconcile_slices WHERE cursor_id LIKE 'cus_%' AND NOT done"
    )
    api = reconciler.context.mirror.stripe.client.v1
    for row in cursors:
        await api.customers.delete_async(row["cursor_id"])
    await crowd.stripe.wait_idle()
    assert cursors
    assert (await reconciler.run()).figures["outcome"] == "clean"


async def test_a_run_stops_when_another_process_takes_it_over(
    crowd: Service, reconciler: Reconciler
) -> None:
    run_id = await runs.open_run(crowd.pool, REQUEST)

    class TakenOver(StripeWrapper):
        async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
            await crowd.pool.execute(
                "UPDATE billing_reconcile_runs SET holder = gen_random_uuid()"
                " WHERE finished_at IS NULL"
            )
            return await super().list_page(resource, params)

    context = reconciler.with_stripe(TakenOver(reconciler.context.mirror.stripe))
    assert not await runs.continue_run(context, run_id)
    assert await crowd.pool.fetchval("SELECT sum(objects) FROM billing_reconcile_runs") == 0


async def test_a_concurrent_webhook_is_not_overwritten(
    service: Service, reconciler: Reconciler, order_a: dict[str, Any]
) -> None:
    await service.buy(order_a)
    row = await service.row("SELECT stripe_subscription_id AS id FROM subscriptions")
    api = reconciler.context.mirror.stripe.client.v1

    class UpdatedMeanwhile(StripeWrapper):
        async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
            page = await super().list_page(resource, params)
            if resource.path == "/v1/subscriptions":
                await api.subscriptions.update_async(row["id"], {"cancel_at_period_end": True})
                await service.stripe.wait_idle()
            return page

    for dry_run in (False, True):
        context = reconciler.with_stripe(UpdatedMeanwhile(reconciler.context.mirror.stripe))
        result = await reconciler.run(context=context, dry_run=dry_run)
        assert (result.figures["outcome"], result.drift) == ("clean", [])
        updated = await service.row("SELECT cancel_at_period_end FROM subscriptions")
        assert updated["cancel_at_period_end"]
        await api.subscriptions.update_async(row["id"], {"cancel_at_period_end": False})
        await service.stripe.wait_idle()


async def test_it_slows_down_when_stripe_limits_the_rate(
    crowd: Service, reconciler: Reconciler, gateway: StripeGateway
) -> None:
    pace = Pace(UNLIMITED)
    await crowd.stripe.limit_rate(3)
    result = await reconciler.run(context=reconciler.with_stripe(PacedStripe(gateway, pace)))
    refused = await crowd.stripe.limit_rate(None)
    assert refused >= 1
    assert 1 <= pace.pauses <= refused
    assert result.figures["objects"] == OBJECTS


async def test_since_days_limits_the_period(crowd: Service, reconciler: Reconciler) -> None:
    await reconciler.run()
    await crowd.pool.execute("UPDATE subscriptions SET amount = 1")
    result = await reconciler.run(since_days=30)
    found = [d.object_id for d in result.drift]
    assert COPIES / 4 < len(found) < COPIES / 2  # a third of ninety days
    assert (await reconciler.run(since_days=30)).figures["outcome"] == "clean"
    assert len((await reconciler.run()).drift) == COPIES + 1 - len(found)
