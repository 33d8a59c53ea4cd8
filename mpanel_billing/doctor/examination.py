"""All checks, at once, each with a time limit; one that breaks is a finding of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

import asyncpg

from mpanel_billing.database.pool import Pool
from mpanel_billing.doctor import account, database, endpoints, offers, versions, work
from mpanel_billing.doctor.finding import Finding, Status, failed, warning
from mpanel_billing.errors import BillingError, DatabaseUnavailableError, StripeError
from mpanel_billing.settings import DatabaseSettings, StripeSettings
from mpanel_billing.stripe_gateway.gateway import StripeGateway

LIMIT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class DatabaseSide:
    """The database, where its settings could be read."""

    settings: DatabaseSettings
    pool: Pool


@dataclass(frozen=True, slots=True)
class StripeSide:
    """Stripe, where its settings could be read."""

    settings: StripeSettings
    gateway: StripeGateway


Look = Callable[[], Awaitable[list[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at something, and what the finding is called when that fails."""

    name: str
    look: Look


async def examine(
    db: DatabaseSide | None, stripe: StripeSide | None, *, limit: float = LIMIT_SECONDS
) -> list[Finding]:
    """Look at everything that can be looked at, each for at most `limit` seconds.

    A side that is None is left out: its settings are findings already.
    """
    first = [*_basics(db), *_stripe_checks(stripe)]
    findings = await _run_all(first, limit)
    schema = next((finding for finding in findings if finding.name == "schema"), None)
    rest = list(_schema_checks(db, stripe))
    if schema is None or schema.status is Status.FAILED:
        return [*findings, *(_skipped(check) for check in rest)]
    return [*findings, *await _run_all(rest, limit)]


def _basics(db: DatabaseSide | None) -> Iterator[Check]:
    yield Check("versions", versions.look_at_versions)
    if db:
        yield Check("database", partial(database.look_at_server, db.pool, db.settings))
        yield Check("database clock", partial(database.look_at_database_clock, db.pool))
        yield Check("schema", partial(database.look_at_schema, db.pool))


def _stripe_checks(stripe: StripeSide | None) -> Iterator[Check]:
    if stripe:
        gateway, settings = stripe.gateway, stripe.settings
        yield Check("stripe key", partial(account.look_at_key, gateway, settings))
        yield Check("stripe account", partial(account.look_at_owner, gateway))
        yield Check("webhook endpoint", partial(endpoints.look_at_endpoints, gateway, settings))


def _schema_checks(db: DatabaseSide | None, stripe: StripeSide | None) -> Iterator[Check]:
    """Give the checks that need our tables."""
    if not db:
        return
    pool = db.pool
    yield Check("inbox", partial(work.look_at_inbox, pool))
    yield Check("queue", partial(work.look_at_backlog, pool))
    yield Check("worker", partial(work.look_at_worker, pool))
    yield Check("retention", partial(work.look_at_retention, pool))
    if stripe:
        gateway, livemode = stripe.gateway, stripe.settings.livemode
        yield Check("catalogue", partial(offers.look_at_catalogue, pool, livemode=livemode))
        yield Check(
            "stripe catalogue", partial(offers.look_at_offers, pool, gateway, livemode=livemode)
        )
        yield Check("webhook deliveries", partial(endpoints.look_at_deliveries, pool, gateway))


async def _run_all(checks: list[Check], limit: float) -> list[Finding]:
    groups = await asyncio.gather(*(_run(check, limit) for check in checks))
    return [finding for group in groups for finding in group]


async def _run(check: Check, limit: float) -> list[Finding]:
    try:
        async with asyncio.timeout(limit):
            return await check.look()
    except TimeoutError:
        return [
            failed(check.name, f"no answer within {limit:.0f} s", "try again; then see the log")
        ]
    except (BillingError, asyncpg.PostgresError) as error:
        return [failed(check.name, _reason_of(error), _advice_on(error))]


def _skipped(check: Check) -> Finding:
    return warning(check.name, "not looked at, for want of the schema", "see above")


def _reason_of(error: Exception) -> str:
    """Say what is the matter; the sentence about the database itself is made for buyers."""
    if isinstance(error, DatabaseUnavailableError) and error.__cause__ is not None:
        return f"cannot be reached: {error.__cause__ or type(error.__cause__).__name__}"
    return str(error)


def _advice_on(error: Exception) -> str:
    if isinstance(error, StripeError):
        return "check STRIPE_SECRET_KEY and what the key may do, and the way to api.stripe.com"
    if isinstance(error, DatabaseUnavailableError):
        return "check DATABASE_URL, and that PostgreSQL runs"
    return "see what the database says"
