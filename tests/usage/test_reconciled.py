"""A reconcile compares what Stripe has of usage with what it was sent."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation import usage
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.objects import reconcile_object
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.reconciliation.usage import find_usage_drift_of
from tests.reconciliation.conftest import UNLIMITED, Reconciler
from tests.usage.conftest import Reporter, record

HOUR = timedelta(hours=1)
DAY = 24 * HOUR


@pytest.fixture
def reconciler(reporter: Reporter) -> Reconciler:
    stripe = PacedStripe(reporter.gateway, Pace(UNLIMITED))
    mirror = Mirror(reporter.sender.pool, stripe, livemode=False)
    drivers = reporter.backend.worker.provisioning.drivers
    return Reconciler(reporter.service, ReconcileContext(mirror, drivers))


async def begin_term(reporter: Reporter, days_ago: int) -> datetime:
    begun = datetime.now(UTC) - days_ago * DAY
    await reporter.service.pool.execute(
        "UPDATE subscription_items SET current_period_start = $1, current_period_end = $2,"
        " recurring_interval = 'month', interval_count = 1",
        begun,
        begun + 30 * DAY,
    )
    return begun


async def use_elsewhere(reporter: Reporter, id_: str, quantity: int, at: datetime) -> None:
    """Let somebody else report to the meter."""
    _, customer = await reporter.backend.stripe_ids(id_)
    await reporter.gateway.client.v1.billing.meter_events.create_async(
        {
            "event_name": "traffic_gb",
            "payload": {"stripe_customer_id": customer, "value": str(quantity)},
            "timestamp": int(at.timestamp()),
        }
    )


async def rest(reporter: Reporter) -> None:
    """Let hours pass since all was sent."""
    await reporter.service.pool.execute(
        "UPDATE billing_meter_events SET sent_at = sent_at - interval '2 hours'"
    )


async def test_what_is_closed_of_this_term_and_the_one_before_is_compared(
    reporter: Reporter, metered: str, reconciler: Reconciler
) -> None:
    now = datetime.now(UTC)
    await begin_term(reporter, 20)
    former = now - 12 * DAY
    await reporter.statuses(
        record("a", metered, 7, at=former), record("b", metered, 5, "space_gb", at=former)
    )
    await reporter.sender.send_due()
    begun = await begin_term(reporter, 10)
    await reporter.statuses(
        record("c", metered, 420, at=now - 3 * HOUR),
        record("d", metered, 70, "space_gb", at=now - 3 * HOUR),
        record("e", metered, 1, at=now - HOUR / 2),
    )
    await reporter.sender.send_due()
    stripe_id, _ = await reporter.backend.stripe_ids(metered)
    context = reconciler.context

    async def drift() -> list[tuple[str, str, str | None, str | None]]:
        found = await find_usage_drift_of(context, UUID(metered))
        return [(one.object_id, one.field.split()[0], one.ours, one.found) for one in found]

    assert await drift() == [], "what was sent just now"
    await rest(reporter)
    assert await drift() == []
    await use_elsewhere(reporter, metered, 5, now - 2 * HOUR)
    await use_elsewhere(reporter, metered, 9, former + HOUR)
    assert await drift() == [
        (stripe_id, "traffic_gb", "7", "16"),
        (stripe_id, "traffic_gb", "420", "425"),
    ]
    (_, present) = await find_usage_drift_of(context, UUID(metered))
    assert present.field.startswith(f"traffic_gb from {begun:%Y-%m-%d %H:%M} to ")
    assert not present.repaired
    found = (await reconciler.run(dry_run=True)).drift
    assert len([one for one in found if one.object_type == "usage"]) == 2
    recent = (await reconciler.run(dry_run=True, since_days=1)).drift
    assert [one.found for one in recent if one.object_type == "usage"] == ["425"]
    await reporter.statuses(record("f", metered, 3, at=now - 4 * HOUR))
    assert await drift() == [(stripe_id, "traffic_gb", "7", "16")], "it waits from there on"


async def test_a_difference_is_trouble_until_a_run_finds_none(
    reporter: Reporter,
    metered: str,
    reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(usage, "_LAG", timedelta(minutes=-6))
    await reporter.backend.worker.catch_up()
    await reporter.statuses(record("a", metered, 420))
    await reporter.sender.send_due()
    assert (await reconciler.run()).drift == []
    await use_elsewhere(reporter, metered, 5, datetime.now(UTC))
    await reconciler.run()
    (trouble,) = await reporter.service.pool.fetch("SELECT * FROM billing_trouble")
    stripe_id, _ = await reporter.backend.stripe_ids(metered)
    assert (trouble["trouble"], str(trouble["subscription_id"])) == ("drift", metered)
    assert trouble["object_id"] == stripe_id
    assert trouble["detail"].startswith("usage, traffic_gb from ")
    assert trouble["detail"].endswith(": ours 420, found 425")
    (one,) = await reconcile_object(reconciler.context, stripe_id, dry_run=False)
    assert (one.object_type, one.ours, one.found) == ("usage", "420", "425")
    await use_elsewhere(reporter, metered, -5, datetime.now(UTC))
    assert (await reconciler.run()).drift == []
    assert await reporter.service.pool.fetch("SELECT * FROM billing_trouble") == []


async def test_a_run_that_stops_goes_on_after_the_meters_that_it_has_compared(
    reporter: Reporter,
    metered: str,
    reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(usage, "_LAG", timedelta(minutes=-6))
    monkeypatch.setattr("mpanel_billing.usage.comparing.PAGE", 1)
    await reporter.statuses(record("a", metered, 420), record("b", metered, 70, "space_gb"))
    await reporter.sender.send_due()
    first, after = await usage.list_sums(reconciler.context, None, None)
    second, last = await usage.list_sums(reconciler.context, None, after)
    assert [one.meter for one in (*first, *second)] == ["space_gb", "traffic_gb"]
    assert await usage.list_sums(reconciler.context, None, last) == ([], None)
