"""Usage from the report to the invoice: stored once, sent once, billed as the catalogue says."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY

from mpanel_billing.telemetry.figures import FigureReader
from tests.commands import run_command
from tests.usage.conftest import METERED_ORDER, Reporter, record


async def renew(reporter: Reporter, id_: str) -> None:
    """Go on until the next invoice is final."""
    end = datetime.fromisoformat((await reporter.backend.subscription(id_))["currentPeriodEnd"])
    await reporter.service.stripe.advance_time(int(end.timestamp()) + 2 * 3600)
    await reporter.service.stripe.wait_idle()


async def test_what_was_used_in_a_term_is_billed_after_it(reporter: Reporter, metered: str) -> None:
    told = [
        record("a", metered, 600, ago=0),
        record("b", metered, 650),
        record("c", metered, 70, "space_gb", ago=-1),
        record("d", metered, 40, "space_gb", ago=-2),
    ]
    first = await reporter.report(*told)
    assert (first.body["stored"], first.body["success"]) == (4, True)
    assert await reporter.statuses(*told) == ["duplicate"] * 4
    assert await reporter.states() == ["waiting"] * 2, "one for each meter"
    assert await reporter.sender.send_due() == 2
    assert await reporter.sender.send_due() == 0
    assert await reporter.states() == ["sent"] * 2
    assert await reporter.stripe_has(metered, "traffic_gb") == 1250
    assert await reporter.stripe_has(metered, "space_gb") == 40, "the latest"
    (paid,) = await reporter.backend.invoices(metered)
    assert paid["amountPaid"] == 799, "nothing was used when it began"
    await renew(reporter, metered)
    (renewed, _) = await reporter.backend.invoices(metered)
    # 100 are included, 900 cost 2.5 cents, 250 cost 1; 40 GB of space cost 10 each
    assert renewed["amountPaid"] == 799 + 900 * 2.5 + 250 + 40 * 10

    late = record("e", metered, 5, at=datetime.fromisoformat(told[0]["timestamp"]))
    assert await reporter.statuses(late) == ["stored"]
    await reporter.sender.send_due()
    assert (await reporter.states())[2:] == ["late"], "its invoice is final"
    assert await reporter.stripe_has(metered, "traffic_gb") == 1250
    (trouble,) = await reporter.trouble()
    assert (trouble["trouble"], str(trouble["subscription_id"])) == ("usage_not_billed", metered)
    assert trouble["detail"].startswith("5 of traffic_gb until ")
    settle = ("usage", "settle", trouble["object_id"], "--reason", "given away")
    database_url = reporter.service.settings.database_url.get_secret_value()
    settled, again = [await run_command(database_url, *settle) for _ in range(2)]
    assert (settled.status, again.status) == (0, 1), again.err
    assert await reporter.trouble() == []


async def test_what_was_used_is_billed_when_a_subscription_ends_at_once(
    reporter: Reporter, metered: str
) -> None:
    await reporter.statuses(record("a", metered, 600))
    await reporter.sender.send_due()
    await reporter.statuses(record("b", metered, 50))
    stripe = reporter.service.stripe
    await stripe.advance_time(await stripe.now() + 60)
    await reporter.backend.done(f"subscriptions/{metered}/cancel", {"atPeriodEnd": False})
    await reporter.service.stripe.wait_idle()
    (last, _) = await reporter.backend.invoices(metered)
    assert last["amountPaid"] == 500 * 2.5
    await reporter.sender.send_due()
    assert await reporter.states() == ["sent", "late"]
    assert await reporter.statuses(record("c", metered, 1, ago=-120)) == ["subscription_ended"]


async def test_each_record_is_answered_by_itself(reporter: Reporter, metered: str) -> None:
    await reporter.statuses(record("known", metered, 5, at=(now := datetime.now(UTC))))
    other = "00000000-0000-4000-8000-000000000000"
    told: list[tuple[dict[str, Any], str]] = [
        (record("known", metered, 5, at=now), "duplicate"),
        (record("known", metered, 6, at=now), "id_reused"),
        (record("1", other, 1), "unknown_subscription"),
        (record("2", metered, 1, "mail"), "not_metered"),
        (record("3", metered, -1, "space_gb"), "negative_quantity"),
        (record("4", metered, 1, ago=36 * 86400), "too_old"),
        (record("5", metered, 1, ago=-600), "in_future"),
        (record("6", metered, 1, at=now), "stored"),
        (record("6", metered, 1, at=now), "duplicate"),
        (record("6", metered, 2, at=now), "id_reused"),
        (record("7", metered, -1), "stored"),
        (record("8", metered, 4, "space_gb", at=now.replace(microsecond=1)), "stored"),
        (record("8", metered, 4, "space_gb", at=now.replace(microsecond=1)), "duplicate"),
        (record("9", metered, 5, "space_gb", at=now.replace(microsecond=2)), "second_taken"),
        (record("9", metered, 5, "space_gb", at=now.replace(microsecond=2)), "second_taken"),
    ]
    expected = [status for _, status in told]
    assert await reporter.statuses(*(each for each, _ in told)) == expected
    owner = await reporter.backend.customer_of(metered)
    assert await reporter.statuses(record("10", metered, 1), customerId=owner) == ["stored"]
    unknown = await reporter.report(record("9", metered, 1), customerId=other)
    assert (unknown.status, unknown.body["code"]) == (404, "unknown_customer")
    await reporter.sender.send_due()
    assert await reporter.stripe_has(metered, "traffic_gb") == 5 + 1 - 1 + 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"quantity": 1.5}, "records[0].quantity"),
        ({"quantity": "1"}, "records[0].quantity"),
        ({"timestamp": "2026-11-28T12:00:00"}, "records[0].timestamp"),
        ({"timestamp": 1795867200}, "records[0].timestamp"),
        ({"id": ""}, "records[0].id"),
        ({"unit": "GB"}, "records[0].unit"),
    ],
)
async def test_a_malformed_record_stores_nothing(
    reporter: Reporter, metered: str, wrong: dict[str, Any], field: str
) -> None:
    answer = await reporter.report(record("a", metered, 1) | wrong, record("b", metered, 1))
    assert (answer.status, list(answer.body["fields"])) == (422, [field])
    assert await reporter.states() == []


async def test_two_calls_with_the_same_records_at_once_count_them_once(
    reporter: Reporter, metered: str
) -> None:
    told = [record(str(number), metered, 1) for number in range(200)]
    both = await asyncio.gather(reporter.report(*told), reporter.report(*reversed(told)))
    assert sorted(answer.body["stored"] for answer in both) == [0, 200]
    await reporter.sender.send_due()
    assert await reporter.stripe_has(metered, "traffic_gb") == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset", "after_work": True, "times": 6},
        {"kind": "reset", "times": 6},
        {"kind": "status", "status": 500, "times": 6},
        {"kind": "status", "status": 429, "times": 2},
    ],
)
async def test_an_unknown_outcome_is_settled_by_the_identifier(
    reporter: Reporter, metered: str, fault: dict[str, Any]
) -> None:
    await reporter.statuses(record("a", metered, 7), record("b", metered, 3, "space_gb"))
    await reporter.service.stripe.inject_fault(
        **fault, path="/v1/billing/meter_events", method="POST"
    )
    await reporter.sender.send_due()
    assert await reporter.states() == ["waiting"] * 2
    assert await reporter.trouble() == []
    await reporter.service.pool.execute(
        "UPDATE billing_meter_events SET created_at = now() - interval '61 minutes'"
    )
    assert {row["trouble"] for row in await reporter.trouble()} == {"usage_unsent"}
    await reporter.hurry()
    await reporter.sender.send_due()
    assert await reporter.states() == ["sent"] * 2
    assert await reporter.stripe_has(metered, "traffic_gb") == 7


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_day_later_stripe_is_asked_what_the_minute_adds_up_to(
    reporter: Reporter, metered: str, arrived: bool
) -> None:
    now = datetime.now(UTC)
    await reporter.statuses(record("before", metered, 2, at=now))
    await reporter.sender.send_due()
    await reporter.statuses(record("a", metered, 7, at=now))
    await reporter.service.stripe.inject_fault(
        "reset", path="/v1/billing/meter_events", method="POST", times=3, after_work=arrived
    )
    await reporter.sender.send_due()
    await reporter.service.pool.execute(
        "UPDATE billing_meter_events SET first_tried_at = now() - interval '23 hours 1 minute'"
        " WHERE state = 'waiting'"
    )
    await reporter.hurry()
    await reporter.sender.send_due()
    assert await reporter.states() == ["sent"] * 2
    assert await reporter.stripe_has(metered, "traffic_gb") == 9


async def test_what_a_killed_worker_sent_is_not_sent_again_once_stripe_has_forgotten_it(
    reporter: Reporter, metered: str
) -> None:
    await reporter.statuses(record("a", metered, 7))
    await reporter.sender.send_due()
    await reporter.service.pool.execute(
        "UPDATE billing_meter_events SET state = 'waiting', sent_at = NULL,"
        " first_tried_at = now() - interval '25 hours', next_attempt_at = now()"
    )
    await reporter.service.stripe.inject_fault(
        "status", status=500, path="/v1/billing/meter_events", method="POST", times=6
    )
    await reporter.sender.send_due()
    assert await reporter.states() == ["sent"]
    assert await reporter.stripe_has(metered, "traffic_gb") == 7


@pytest.mark.parametrize("arrived", [True, False])
async def test_usage_of_unknown_outcome_is_late_only_if_stripe_does_not_have_it(
    reporter: Reporter, metered: str, arrived: bool
) -> None:
    await reporter.statuses(record("a", metered, 7))
    await reporter.service.stripe.inject_fault(
        "reset", path="/v1/billing/meter_events", method="POST", times=3, after_work=arrived
    )
    await reporter.sender.send_due()
    assert await reporter.states() == ["waiting"]
    await renew(reporter, metered)
    await reporter.hurry()
    await reporter.sender.send_due()
    assert await reporter.states() == ["sent" if arrived else "late"]
    assert await reporter.stripe_has(metered, "traffic_gb") == (7 if arrived else 0)


async def test_what_stripe_refuses_holds_up_nothing_else(reporter: Reporter, metered: str) -> None:
    await reporter.statuses(record("a", metered, 7))
    await reporter.service.stripe.inject_fault(
        "status", status=400, path="/v1/billing/meter_events", method="POST"
    )
    await reporter.sender.send_due()
    assert await reporter.states() == ["refused"]
    await reporter.statuses(record("b", metered, 3))
    await reporter.sender.send_due()
    assert await reporter.states() == ["refused", "sent"]


def counted(name: str, outcome: str) -> float:
    series = f"mpanel_billing_usage_{name}_total"
    return REGISTRY.get_sample_value(series, {"outcome": outcome}) or 0


async def test_what_is_taken_sent_and_waits_is_measured(reporter: Reporter, metered: str) -> None:
    series = [
        *(("records", outcome) for outcome in ("stored", "duplicate", "not_metered")),
        *(("events", outcome) for outcome in ("sent", "refused", "retried", "late")),
    ]
    before = [counted(*one) for one in series]
    told = [record("a", metered, 7), record("b", metered, 3, "space_gb")]
    await reporter.statuses(*told, told[0], record("c", metered, 1, "mail"))
    await reporter.service.pool.execute(
        "UPDATE billing_meter_events SET created_at = now() - interval '40 minutes'"
        " WHERE meter = 'space_gb'"
    )
    waiting = await FigureReader(reporter.service.pool).read()
    assert waiting.get("usage_waiting") == 2
    assert 2400 <= (waiting.get("usage_waiting_oldest_seconds") or 0) < 2500
    for status, times in ((503, 6), (400, 1)):
        await reporter.service.stripe.inject_fault(
            "status", status=status, path="/v1/billing/meter_events", method="POST", times=times
        )
        await reporter.sender.send_due()
        await reporter.hurry()
    await reporter.sender.send_due()
    done = await FigureReader(reporter.service.pool).read()
    assert (done.get("usage_waiting"), done.get("usage_waiting_oldest_seconds")) == (0, 0)
    grown = [counted(*one) - former for one, former in zip(series, before, strict=True)]
    assert grown == [2, 1, 1, 1, 1, 2, 0]


async def test_usage_of_two_subscriptions_of_a_customer_stays_apart(
    reporter: Reporter, metered: str
) -> None:
    """Stripe counts usage for its customer: both would be billed for all of it."""
    backend = reporter.backend
    customer = await backend.customer_of(metered)
    key = {"Authorization": f"Bearer {'b' * 32}"}
    ordered = METERED_ORDER | {"customerId": customer, "addonIds": ["traffic"]}
    page = await reporter.service.order_elsewhere(ordered, **key)
    await reporter.service.stripe.pay(page["url"])
    await reporter.service.stripe.wait_idle()
    second = str(page["subscriptionId"])
    assert (await backend.stripe_ids(second))[1] != (await backend.stripe_ids(metered))[1]
    await reporter.statuses(record("a", metered, 7), record("b", second, 3))
    await reporter.sender.send_due()
    assert await reporter.stripe_has(metered, "traffic_gb") == 7
    assert await reporter.stripe_has(second, "traffic_gb") == 3


async def test_an_addon_with_usage_is_added_only_where_usage_stays_apart(
    reporter: Reporter, metered: str
) -> None:
    backend = reporter.backend
    change = f"subscriptions/{metered}/change-plan"
    plan = {"planId": "starter", "billingCycle": "monthly"}
    await backend.done(change, plan | {"addonIds": ["traffic"]})
    await backend.done(change, plan | {"addonIds": ["traffic", "space"]})
    shown = await backend.subscription(metered)
    assert {item["productId"] for item in shown["items"]} == {"starter", "traffic", "space"}
    key = {"Authorization": f"Bearer {'b' * 32}"}
    another = METERED_ORDER | {"customerId": shown["customerId"], "addonIds": []}
    page = await reporter.service.order_elsewhere(another, **key)
    await reporter.service.stripe.pay(page["url"])
    await reporter.service.stripe.wait_idle()
    refused = await backend.post(
        f"subscriptions/{page['subscriptionId']}/change-plan", plan | {"addonIds": ["traffic"]}
    )
    assert (refused.status, refused.body["code"]) == (409, "usage_not_apart")


async def test_the_present_term_is_shown_with_its_cost_and_a_forecast(
    reporter: Reporter, metered: str
) -> None:
    await reporter.statuses(record("a", metered, 420), record("b", metered, 70, "space_gb"))
    await reporter.sender.send_due()
    await reporter.statuses(record("c", metered, 30))
    _, young = (await reporter.backend.get(f"subscriptions/{metered}/usage")).body["usage"]
    assert 450 * 28 <= young["forecast"] <= 450 * 31, "seconds are taken for a day"
    # half of the term is over
    await reporter.service.pool.execute(
        "UPDATE subscription_items SET current_period_start = now() - interval '15 days',"
        " current_period_end = now() + interval '15 days'"
    )
    answer = await reporter.backend.get(f"subscriptions/{metered}/usage")
    assert answer.status == 200, answer.body
    space, traffic = answer.body["usage"]
    assert (traffic["quantity"], traffic["cost"]) == (450, 350 * 2.5)
    assert (traffic["forecast"], traffic["forecastCost"]) == (900, 800 * 2.5)
    assert (traffic["waiting"], traffic["unbilled"], traffic["included"]) == (1, 0, 100)
    assert (space["quantity"], space["cost"], space["forecast"]) == (70, 700, 70)
    url = reporter.service.settings.database_url.get_secret_value()
    shown = await run_command(url, "usage", "show", metered)
    assert shown.out.count("\n") == 2, shown
    assert "traffic_gb  450 GB since " in shown.out
    assert "900, $20.00  1 events to be sent" in shown.out
    other = await reporter.backend.get(
        f"subscriptions/{metered}/usage", customerId="6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
    )
    assert (other.status, other.body["code"]) == (404, "unknown_subscription")


async def test_what_stripe_has_is_compared_with_what_it_was_sent(
    reporter: Reporter, metered: str
) -> None:
    url = reporter.service.settings.database_url.get_secret_value()
    asked = {"stripe_url": reporter.service.sandbox.url}
    await reporter.statuses(record("a", metered, 420), record("b", metered, 70, "space_gb"))
    await reporter.sender.send_due()
    same = await run_command(url, "usage", "compare", **asked)
    assert (same.status, same.out) == (0, "2 compared, 0 differ\n"), same.err
    _, customer = await reporter.backend.stripe_ids(metered)
    await reporter.gateway.client.v1.billing.meter_events.create_async(
        {"event_name": "traffic_gb", "payload": {"stripe_customer_id": customer, "value": "5"}}
    )
    more = await run_command(url, "usage", "compare", metered, **asked)
    assert (more.status, more.out.splitlines()[-1]) == (1, "2 compared, 1 differ")
    assert f"{metered}  traffic_gb  sent 420, at Stripe 425" in more.out
