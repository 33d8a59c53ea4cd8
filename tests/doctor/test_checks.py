"""What the doctor finds, on a healthy house and on sick ones."""

import pytest

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.doctor.checks import Finding, examine, judge_endpoints
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.account import WebhookEndpoint
from mpanel_billing.stripe_gateway.gateway import API_VERSION, StripeGateway
from mpanel_billing.webhooks.envelope import MIRRORED_TYPES
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.service import make_settings


def sick(findings: list[Finding]) -> dict[str, str]:
    return {finding.name: finding.detail for finding in findings if not finding.well}


async def test_a_house_in_order_has_no_complaints(
    settings: Settings, pool: Pool, gateway: StripeGateway, offers: None
) -> None:
    findings = await examine(settings, pool, gateway)
    assert sick(findings) == {}
    assert {"database", "schema", "catalogue", "inbox", "stripe key", "clock"} <= {
        finding.name for finding in findings
    }


async def test_an_empty_catalogue_and_failed_events_are_found(
    settings: Settings, pool: Pool, gateway: StripeGateway, inbox: Inbox
) -> None:
    await pool.execute("ALTER TABLE subscriptions ADD CONSTRAINT fault CHECK (amount <> 666)")
    await inbox.tell("customer.subscription.created", made.subscription(amount=666))
    found = sick(await examine(settings, pool, gateway))
    assert found == {"catalogue": "is empty", "inbox": "1 failed events"}


async def test_an_old_schema_is_found(
    settings: Settings, pool: Pool, gateway: StripeGateway, offers: None
) -> None:
    await pool.execute("DELETE FROM billing_schema_migrations WHERE version > '20261122000500'")
    assert sick(await examine(settings, pool, gateway)).keys() == {"schema"}


async def test_a_database_and_a_stripe_that_are_away_are_findings(
    gateway: StripeGateway,
) -> None:
    nowhere = make_settings(stripe_api_base="http://127.0.0.1:1")
    async with await create_pool(nowhere) as pool:
        found = sick(await examine(nowhere, pool, gateway))
    assert found.keys() == {"database"}


ENDPOINT = WebhookEndpoint(
    "we_1", "https://api.example.com/api/webhooks/stripe", True, API_VERSION, MIRRORED_TYPES
)


@pytest.mark.parametrize(
    ("endpoints", "complaint"),
    [
        ([ENDPOINT], None),
        ([], "none that is enabled"),
        (
            [WebhookEndpoint("we_2", ENDPOINT.url, False, API_VERSION, MIRRORED_TYPES)],
            "none that is enabled",
        ),
        (
            [WebhookEndpoint("we_3", ENDPOINT.url, True, "2024-06-20", MIRRORED_TYPES)],
            "has API version 2024-06-20",
        ),
        (
            [
                WebhookEndpoint(
                    "we_4", ENDPOINT.url, True, API_VERSION, MIRRORED_TYPES - {"invoice.paid"}
                )
            ],
            "lacks events: invoice.paid",
        ),
        (
            [WebhookEndpoint("we_5", ENDPOINT.url, True, API_VERSION, frozenset({"*"}))],
            None,
        ),
    ],
)
def test_the_webhook_endpoint_is_judged(
    endpoints: list[WebhookEndpoint], complaint: str | None
) -> None:
    finding = judge_endpoints(make_settings(), endpoints)
    assert finding.well is (complaint is None)
    assert (complaint or "all events") in finding.detail
