"""A run that is stopped goes on; two never run at once; what is newer is never overwritten."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.errors import ConflictError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.reconciliation import service as reconciling
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.reconciliation.service import Wish
from mpanel_billing.stripe_gateway.gateway import Page, Resource, StripeGateway
from tests.reconciliation.conftest import UNHURRIED, Reconciler, StripeBetween
from tests.service import Service

COPIES = 230
"""Three pages of each kind, with the one that they are copies of."""

ALL_BUT_ONE = 2 + 4 * 3 + 1 - 1
"""Pages; when the last is asked for, at least the first of each kind is done and saved."""

WISH = Wish("command", livemode=False)


class StopsAt(StripeBetween):
    """Answers some pages (of a kind), then never again; `reached`: it was asked once more."""

    def __init__(self, stripe: Any, pages: int, path: str | None = None) -> None:
        super().__init__(stripe)
        self._left = pages
        self._path = path
        self.reached = asyncio.Event()

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        if self._path in {None, resource.path}:
            if self._left == 0:
                self.reached.set()
                await asyncio.Event().wait()
            self._left -= 1
        return await super().list_page(resource, params)


class Counts(StripeBetween):
    """Notes what is listed."""

    def __init__(self, stripe: Any) -> None:
        super().__init__(stripe)
        self.listed: list[str] = []

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        self.listed.append(resource.path)
        return await super().list_page(resource, params)


@pytest.fixture
async def crowd(service: Service, order_a: dict[str, Any]) -> Service:
    """One order, and copies of it of which nobody has told us."""
    await service.buy(order_a)
    row = await service.row("SELECT stripe_subscription_id FROM subscriptions")
    await service.stripe.copy_subscription(row["stripe_subscription_id"], COPIES, days=90)
    return service


async def start_and_stop(reconciler: Reconciler, pages: int, path: str | None = None) -> UUID:
    """Begin a run, and break it off after some pages."""
    run_id = await reconciling.open_run(reconciler.service.pool, WISH)
    stripe = StopsAt(reconciler.context.mirror.stripe, pages, path)
    running = asyncio.create_task(
        reconciling.continue_run(reconciler.asking(stripe), run_id), name="run"
    )
    async with asyncio.timeout(30):
        await stripe.reached.wait()
    with pytest.raises(ConflictError):
        await reconciling.open_run(reconciler.service.pool, WISH)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return run_id


async def test_a_stopped_run_goes_on_where_it_was(crowd: Service, reconciler: Reconciler) -> None:
    stopped = await start_and_stop(reconciler, pages=ALL_BUT_ONE)
    stripe = Counts(reconciler.context.mirror.stripe)
    result = await reconciler.run(context=reconciler.asking(stripe))
    assert result.figures["id"] == stopped
    assert result.figures["objects"] == 4 * (COPIES + 1)
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
    run_id = await reconciling.open_run(crowd.pool, replace(WISH, started_by="api"))
    stripe = StopsAt(reconciler.context.mirror.stripe, pages=4)
    await reconciling.run_due(reconciler.asking(stripe), run_id, stripe.reached)
    row = await crowd.row("SELECT finished_at, holder, objects FROM billing_reconcile_runs")
    assert (row["finished_at"], row["holder"]) == (None, None)
    await reconciling.run_due(reconciler.context, run_id, asyncio.Event())
    row = await crowd.row("SELECT outcome, attempts, objects FROM billing_reconcile_runs")
    assert tuple(row) == ("repaired", 2, 4 * (COPIES + 1))


async def test_a_run_that_is_to_restart_begins_anew(crowd: Service, reconciler: Reconciler) -> None:
    stopped = await start_and_stop(reconciler, pages=3)
    other = await reconciling.open_run(
        crowd.pool, Wish("command", livemode=False, since_days=3, restart=False)
    )
    anew = await reconciling.open_run(
        crowd.pool, Wish("command", livemode=False, since_days=3, restart=True)
    )
    assert len({stopped, other, anew}) == 3
    outcomes = await crowd.pool.fetch(
        "SELECT outcome FROM billing_reconcile_runs ORDER BY started_at"
    )
    assert [row["outcome"] for row in outcomes] == ["abandoned", "abandoned", None]


async def test_marks_that_a_crash_has_lost_are_made_again(
    crowd: Service, reconciler: Reconciler
) -> None:
    await reconciler.run()
    await start_and_stop(reconciler, pages=ALL_BUT_ONE)
    await crowd.pool.execute("TRUNCATE billing_reconcile_marks")
    stripe = Counts(reconciler.context.mirror.stripe)
    result = await reconciler.run(context=reconciler.asking(stripe))
    assert result.figures["outcome"] == "clean"
    assert stripe.listed.count("/v1/subscriptions") == 3


async def test_an_object_at_which_it_stopped_may_be_gone(
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


async def test_a_run_that_another_has_taken_over_stops(
    crowd: Service, reconciler: Reconciler
) -> None:
    run_id = await reconciling.open_run(crowd.pool, WISH)

    class TakenOver(StripeBetween):
        async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
            await crowd.pool.execute(
                "UPDATE billing_reconcile_runs SET holder = gen_random_uuid()"
                " WHERE finished_at IS NULL"
            )
            return await super().list_page(resource, params)

    context = reconciler.asking(TakenOver(reconciler.context.mirror.stripe))
    assert not await reconciling.continue_run(context, run_id)
    assert await crowd.pool.fetchval("SELECT sum(objects) FROM billing_reconcile_runs") == 0


async def test_what_a_webhook_has_told_meanwhile_is_not_overwritten(
    service: Service, reconciler: Reconciler, order_a: dict[str, Any]
) -> None:
    await service.buy(order_a)
    row = await service.row("SELECT stripe_subscription_id AS id FROM subscriptions")
    api = reconciler.context.mirror.stripe.client.v1

    class Overtaken(StripeBetween):
        async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
            page = await super().list_page(resource, params)
            if resource.path == "/v1/subscriptions":
                await api.subscriptions.update_async(row["id"], {"cancel_at_period_end": True})
                await service.stripe.wait_idle()
            return page

    for dry_run in (False, True):
        context = reconciler.asking(Overtaken(reconciler.context.mirror.stripe))
        result = await reconciler.run(context=context, dry_run=dry_run)
        assert (result.figures["outcome"], result.drift) == ("clean", [])
        told = await service.row("SELECT cancel_at_period_end FROM subscriptions")
        assert told["cancel_at_period_end"]
        await api.subscriptions.update_async(row["id"], {"cancel_at_period_end": False})
        await service.stripe.wait_idle()


async def test_it_slows_down_when_stripe_says_so(
    crowd: Service, reconciler: Reconciler, gateway: StripeGateway
) -> None:
    pace = Pace(UNHURRIED)
    await crowd.stripe.limit_rate(8)
    result = await reconciler.run(context=reconciler.asking(PacedStripe(gateway, pace)))
    refused = await crowd.stripe.limit_rate(None)
    assert refused >= 1
    assert 1 <= pace.pauses <= refused
    assert result.figures["objects"] == 4 * (COPIES + 1)


async def test_a_part_of_the_time_can_be_looked_at_alone(
    crowd: Service, reconciler: Reconciler
) -> None:
    await reconciler.run()
    await crowd.pool.execute("UPDATE subscriptions SET amount = 1")
    result = await reconciler.run(since_days=30)
    found = [d.object_id for d in result.drift]
    assert COPIES / 4 < len(found) < COPIES / 2  # a third of ninety days
    assert (await reconciler.run(since_days=30)).figures["outcome"] == "clean"
    assert len((await reconciler.run()).drift) == COPIES + 1 - len(found)
