"""The checks, each a finding of one line, with what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.database.migrations import expected_version, schema_version
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import DatabaseUnavailableError, StripeError
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.account import (
    WebhookEndpoint,
    list_webhook_endpoints,
    look_at_account,
)
from mpanel_billing.stripe_gateway.gateway import API_VERSION, StripeGateway
from mpanel_billing.webhooks.envelope import MIRRORED_TYPES
from mpanel_billing.webhooks.inbox import list_events
from mpanel_billing.webhooks.signature import TOLERANCE_SECONDS

WEBHOOK_PATH = "/api/webhooks/stripe"
OLDEST_POSTGRES = 16
CLOCK_TOLERANCE_SECONDS = TOLERANCE_SECONDS / 5
_MOST_FAILED = 1000
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` says what to do where it is not well."""

    name: str
    well: bool
    detail: str
    advice: str = ""


async def examine(settings: Settings, pool: Pool, gateway: StripeGateway) -> list[Finding]:
    """Look at everything; what cannot be reached is a finding, not an error."""
    findings = [Finding("settings", well=True, detail="complete")]
    try:
        findings += await _examine_database(settings, pool)
    except DatabaseUnavailableError as error:
        findings.append(
            Finding("database", False, str(error), "check DATABASE_URL, and that PostgreSQL runs")
        )
    try:
        findings += await _examine_stripe(settings, gateway)
    except StripeError as error:
        findings.append(Finding("stripe key", False, str(error), "check STRIPE_SECRET_KEY"))
    return findings


async def _examine_database(settings: Settings, pool: Pool) -> list[Finding]:
    async with acquired(pool) as conn:
        major = conn.get_server_version().major
        version = await schema_version(conn)
    server = Finding(
        "database",
        major >= OLDEST_POSTGRES,
        f"PostgreSQL {major}",
        f"PostgreSQL {OLDEST_POSTGRES} or newer is needed",
    )
    schema = Finding(
        "schema",
        version == expected_version(),
        f"at {version or 'nothing'}, this program needs {expected_version()}",
        "run `make migrate`",
    )
    if not schema.well:
        return [server, schema]
    return [server, schema, await _catalogue(settings, pool), await _inbox(pool)]


async def _catalogue(settings: Settings, pool: Pool) -> Finding:
    catalogue = await read_catalogue(pool, livemode=settings.livemode)
    prices = [price for product in catalogue.products for price in product.prices]
    unknown = [price.lookup_key for price in prices if price.stripe_price_id is None]
    unknown += [coupon.code for coupon in catalogue.coupons if coupon.stripe_coupon_id is None]
    if not prices:
        return Finding("catalogue", False, "is empty", "run `mpanel-billing catalog apply`")
    return Finding(
        "catalogue",
        not unknown,
        f"{len(prices)} prices, all at Stripe"
        if not unknown
        else f"not at Stripe: {_some(unknown)}",
        "run `mpanel-billing catalog push`",
    )


async def _inbox(pool: Pool) -> Finding:
    failed = await list_events(pool, "failed", _MOST_FAILED)
    return Finding(
        "inbox",
        not failed,
        f"{len(failed)} failed events" if failed else "no failed events",
        "see `mpanel-billing events list --status failed`",
    )


async def _examine_stripe(settings: Settings, gateway: StripeGateway) -> list[Finding]:
    account = await look_at_account(gateway)
    mode = "live" if account.livemode else "test"
    key = Finding(
        "stripe key",
        account.livemode == settings.livemode,
        f"works, {mode} mode",
        "the key's prefix and Stripe's answer disagree about the mode",
    )
    clock = Finding(
        "clock",
        abs(account.clock_ahead) <= CLOCK_TOLERANCE_SECONDS,
        f"{account.clock_ahead:+.0f} s against Stripe's",
        "set the clock: webhook signatures are refused when it is off by 300 s",
    )
    return [key, clock, judge_endpoints(settings, await list_webhook_endpoints(gateway))]


def judge_endpoints(settings: Settings, endpoints: Sequence[WebhookEndpoint]) -> Finding:
    """Say whether an endpoint of Stripe's leads here, in our API version, with our events."""
    name = "webhook endpoint"
    ours = [e for e in endpoints if urlsplit(e.url).path == WEBHOOK_PATH and e.enabled]
    if not ours and settings.stripe_api_base is not None:
        return Finding(name, well=True, detail="not judged: the sandbox is told at its start")
    if not ours:
        return Finding(
            name,
            False,
            f"none that is enabled ends in {WEBHOOK_PATH}",
            f"make one in Stripe's dashboard, API version {API_VERSION}",
        )
    problems = [problem for e in ours if (problem := _problem_of(e))]
    if len(problems) < len(ours):
        return Finding(name, well=True, detail=f"{ours[0].url}, {API_VERSION}, all events")
    return Finding(name, False, "; ".join(problems), "see README.md, Stripe's webhook endpoint")


def _problem_of(endpoint: WebhookEndpoint) -> str | None:
    if endpoint.api_version != API_VERSION:
        return (
            f"{endpoint.id} has API version {endpoint.api_version or 'of the account'}, "
            f"not {API_VERSION}"
        )
    missing = MIRRORED_TYPES - endpoint.events
    if "*" not in endpoint.events and missing:
        return f"{endpoint.id} lacks events: {_some(sorted(missing))}"
    return None


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
