"""What Stripe takes and does not count is reported by thin events, and is trouble here."""

import json
import time
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.settings import Settings
from mpanel_billing.usage.model import DroppedEvent
from mpanel_billing.usage.reports import read_reports, report_of
from stripe_sandbox import Choices
from stripe_sandbox.delivery import sign
from tests.commands import run_command
from tests.service import WEBHOOK_SECRET, make_settings
from tests.subscriptions.conftest import KEY
from tests.usage.conftest import Reporter, record

THIN_SECRET = "whsec_of_thin_events"
PATH = "/api/webhooks/stripe"


@pytest.fixture
def choices() -> Choices:
    return Choices(bad_usage="accept")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
        stripe_webhook_secret=f"{WEBHOOK_SECRET},{THIN_SECRET}",
    )


@pytest.fixture
def reporter(reporter: Reporter) -> Reporter:
    """Stripe also sends thin events, to a destination with a secret of its own."""
    url = str(reporter.service.client.make_url(PATH))
    reporter.service.sandbox.add_webhook(url, THIN_SECRET, thin=True)
    return reporter


async def read(reporter: Reporter) -> int:
    await reporter.service.stripe.wait_idle()
    return await read_reports(reporter.sender.pool, reporter.gateway, livemode=False)


async def post(reporter: Reporter, event: dict[str, Any], secret: str = THIN_SECRET) -> int:
    body = json.dumps(event).encode()
    signature = sign(body, secret, int(time.time()))
    headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
    async with reporter.service.client.post(PATH, data=body, headers=headers) as response:
        return response.status


def thin(**more: Any) -> dict[str, Any]:
    return {
        "id": "evt_test_unknown",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-11-28T12:00:00.000Z",
        "livemode": False,
        "context": None,
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/1"},
        **more,
    }


async def test_a_meter_event_that_stripe_drops_is_not_billed_and_trouble(
    reporter: Reporter, metered: str
) -> None:
    await reporter.statuses(record("a", metered, 7), record("b", metered, 3, "space_gb"))
    await reporter.service.pool.execute(
        "UPDATE billing_meter_events SET stripe_customer_id = 'cus_gone' WHERE meter = 'traffic_gb'"
    )
    await reporter.sender.send_due()
    assert await reporter.states() == ["sent"] * 2
    assert await read(reporter) == 1
    assert await read(reporter) == 0
    (trouble,) = await reporter.trouble()
    assert (trouble["trouble"], str(trouble["subscription_id"])) == ("usage_not_billed", metered)
    assert trouble["detail"].startswith("7 of traffic_gb until ")
    assert "No such customer: 'cus_gone' (meter_event_customer_not_found)" in trouble["detail"]
    answer = await reporter.backend.get(f"subscriptions/{metered}/usage")
    assert [(one["quantity"], one["unbilled"]) for one in answer.body["usage"]] == [(3, 0), (0, 1)]
    row = await reporter.service.row("SELECT * FROM stripe_events WHERE id LIKE 'evt_test%'")
    assert (row["status"], row["object_id"][:4]) == ("applied", "mtr_")
    assert row["created"] is not None
    assert await post(reporter, row["payload"]) == 200
    assert await read(reporter) == 0, "it came before"


async def test_what_a_report_does_not_name_is_trouble_until_it_is_settled(
    reporter: Reporter, metered: str
) -> None:
    _, customer = await reporter.backend.stripe_ids(metered)
    await reporter.gateway.client.v1.billing.meter_events.create_async(
        {"event_name": "another", "payload": {"stripe_customer_id": customer, "value": "5"}}
    )
    assert await read(reporter) == 1
    (trouble,) = await reporter.trouble()
    assert (trouble["trouble"], trouble["subscription_id"]) == ("usage_dropped", None)
    assert trouble["detail"].startswith("1 of 1 meter events, which are not named: ")
    assert trouble["detail"].endswith("(no_meter)")
    url = reporter.service.settings.database_url.get_secret_value()
    settle = ("usage", "settle", trouble["object_id"], "--reason", "a test of somebody else")
    settled, again = [await run_command(url, *settle) for _ in range(2)]
    assert (settled.status, again.status) == (0, 1), settled.err
    assert await reporter.trouble() == []


async def test_a_report_that_stripe_does_not_explain_is_asked_for_again_and_is_trouble(
    reporter: Reporter, metered: str
) -> None:
    assert await post(reporter, thin(), "whsec_of_somebody") == 400
    assert await post(reporter, thin(id="evt_test_other", context="acct_1")) == 200
    assert await post(reporter, thin(id="evt_test_live", livemode=True)) == 400
    assert await post(reporter, thin(id="evt_test_odd", type="v1.account.updated")) == 200
    pool = reporter.service.pool
    assert await pool.fetchval("SELECT count(*) FROM billing_usage_reports") == 0
    assert await post(reporter, thin()) == 200
    assert await read(reporter) == 0
    assert await reporter.trouble() == []
    row = await reporter.service.row(
        "UPDATE billing_usage_reports SET received_at = now() - interval '61 minutes' RETURNING *"
    )
    assert (row["failures"], row["read_at"]) == (1, None)
    (trouble,) = await reporter.trouble()
    assert trouble["detail"].startswith("Stripe does not say of what: ")


OURS = UUID("3f0b1c52-4b5e-4c59-9c0e-6a8a1a0d7c11")


@pytest.mark.parametrize("identifier", [str(OURS), f"{OURS}/8c1fe0", None, 7, "", "7e9d"])
def test_ours_are_found_by_identifier_or_by_idempotency_key(identifier: object) -> None:
    sample = {"error_message": "No such customer", "request": {"identifier": identifier}}
    types = [{"code": "no_customer", "error_count": 3, "sample_errors": [sample, None]}, None]
    report = report_of({"data": {"reason": {"error_count": 3, "error_types": types}}})
    is_ours = isinstance(identifier, str) and identifier.startswith(str(OURS))
    named = (DroppedEvent(OURS, "No such customer (no_customer)"),) if is_ours else ()
    assert (report.dropped, report.named) == (3, named)


@pytest.mark.parametrize("event", [{}, {"data": None}, {"data": {"reason": []}}])
def test_a_report_that_says_nothing_is_of_something(event: dict[str, Any]) -> None:
    assert report_of(event).dropped == 1
