"""The webhook endpoints in Stripe, and whether events arrive."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.doctor.finding import Finding, duration, failed, ok, some, warning
from mpanel_billing.mirror.types import EVENT_TYPES
from mpanel_billing.settings import StripeSettings
from mpanel_billing.stripe_gateway.account import RecentEvent, list_recent_events
from mpanel_billing.stripe_gateway.gateway import API_VERSION, StripeGateway
from mpanel_billing.stripe_gateway.webhook_endpoints import WebhookEndpoint, list_webhook_endpoints
from mpanel_billing.webhooks.endpoint import PATH, missing_events, needless_events

ON_ITS_WAY = timedelta(minutes=2)
"""How long Stripe may take to deliver an event before it counts as missing."""

_ENDPOINT = "webhook endpoint"
_DELIVERIES = "webhook deliveries"
_ENSURE = "run `mpanel-billing stripe endpoint ensure --url https://<your host>`"
_LOOK_BACK = timedelta(hours=24)
_MOST_EVENTS = 100


async def check_endpoints(gateway: StripeGateway, settings: StripeSettings) -> list[Finding]:
    """Check the endpoints that lead here: API version, events, enabled."""
    found = await list_webhook_endpoints(gateway)
    return judge_endpoints(found, sandboxed=settings.stripe_api_base is not None)


def judge_endpoints(found: Sequence[WebhookEndpoint], *, sandboxed: bool) -> list[Finding]:
    """Judge each endpoint of the account whose URL ends in our path."""
    ours = [e for e in found if urlsplit(e.url).path.endswith(PATH)]
    if not ours and sandboxed:
        return [ok(_ENDPOINT, "not needed: the sandbox gets it as an option")]
    if not ours:
        return [failed(_ENDPOINT, f"none ends in {PATH}", _ENSURE)]
    judged = [_judge_endpoint(endpoint) for endpoint in ours]
    if any(endpoint.enabled and endpoint.api_version == API_VERSION for endpoint in ours):
        return judged
    text = f"no enabled one has API version {API_VERSION}"
    return [*judged, failed(_ENDPOINT, text, _ENSURE)]


def _judge_endpoint(endpoint: WebhookEndpoint) -> Finding:
    name = f"{_ENDPOINT} {endpoint.id}"
    ensure = f"{_ENSURE.partition(' --url')[0]} --url {endpoint.url}`"
    if not endpoint.enabled:
        return warning(name, f"{endpoint.url} is disabled", ensure)
    if endpoint.api_version != API_VERSION:
        version = endpoint.api_version or "of the account (its default)"
        text = f"{endpoint.url} has API version {version}, not {API_VERSION}"
        return warning(name, text, f"{ensure}, which explains how to migrate")
    if missing := missing_events(endpoint):
        return failed(name, f"{endpoint.url} lacks {some(missing)}", ensure)
    if needless := needless_events(endpoint):
        text = f"{endpoint.url} gets {some(needless)}, which are not used here"
        return warning(name, text, ensure)
    return ok(
        name, f"{endpoint.url}, {API_VERSION}, exactly the {len(endpoint.events)} events needed"
    )


async def check_deliveries(pool: Pool, gateway: StripeGateway) -> list[Finding]:
    """Check that Stripe's latest events are in the inbox.

    An endpoint's secret cannot be read, but each event in the inbox was signed with one of ours.
    """
    made = await list_recent_events(gateway, _MOST_EVENTS)
    endpoints = await list_webhook_endpoints(gateway)
    async with acquired(pool) as conn:
        latest = await repository.get_latest_event(conn)
        expected = expected_events(made, endpoints, datetime.now(UTC))
        known = await repository.list_known_events(conn, [event.id for event in expected])
    missing = [f"{event.type} {event.id}" for event in expected if event.id not in known]
    if missing:
        text = f"missing from the last {len(expected)} events: {some(missing, 2)}"
        advice = (
            "check the endpoint's delivery attempts in Stripe's dashboard: it is unreachable, or "
            "its secret is not in STRIPE_WEBHOOK_SECRET"
        )
        return [failed(_DELIVERIES, text, advice)]
    if latest is None:
        text = "no event has arrived yet, so the secret is untested"
        return [warning(_DELIVERIES, text, "buy something in test mode, then run this again")]
    seen = f"{latest['type']} arrived {duration(latest['seconds_ago'])} ago, correctly signed"
    return [ok(_DELIVERIES, f"{seen}; none of the last day is missing")]


def expected_events(
    made: Sequence[RecentEvent], endpoints: Sequence[WebhookEndpoint], now: datetime
) -> list[RecentEvent]:
    """Return the events that should have arrived by now.

    Those are the mirrored types of the last day, created since there has been an endpoint.
    """
    ours = [e.created for e in endpoints if urlsplit(e.url).path.endswith(PATH)]
    since = max(now - _LOOK_BACK, min(ours, default=now - _LOOK_BACK))
    return [
        event
        for event in made
        if event.type in EVENT_TYPES and since < event.created < now - ON_ITS_WAY
    ]
