"""Run all checks concurrently, each with a time limit; a check that fails is itself a finding."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

import asyncpg

from mpanel_billing.database.pool import Pool
from mpanel_billing.doctor import (
    database,
    dunning,
    endpoints,
    host,
    keys,
    listeners,
    portal,
    rights,
    stripe_account,
    taxes,
    work,
)
from mpanel_billing.doctor.finding import Finding, Status, failed, warning
from mpanel_billing.errors import BillingError, DatabaseUnavailableError, StripeError
from mpanel_billing.settings import DatabaseSettings, Settings, StripeSettings
from mpanel_billing.stripe_gateway.gateway import StripeGateway

LIMIT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class DatabaseSide:
    """The database, if its settings are valid."""

    settings: DatabaseSettings
    pool: Pool


@dataclass(frozen=True, slots=True)
class StripeSide:
    """Stripe, if its settings are valid."""

    settings: StripeSettings
    gateway: StripeGateway


Run = Callable[[], Awaitable[list[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check, and the name of the finding if it fails to run."""

    name: str
    run: Run


async def examine(
    db: DatabaseSide | None,
    stripe: StripeSide | None,
    service: Settings | None = None,
    *,
    limit: float = LIMIT_SECONDS,
) -> list[Finding]:
    """Run every check that is possible, each for at most `limit` seconds.

    A side that is None is left out: its settings are already findings. `service` are all settings,
    if they are valid.
    """
    first = [*_basics(db), *_stripe_checks(stripe), *_service_checks(service)]
    if stripe and service:
        first.append(Check("dunning", partial(dunning.check_dunning, stripe.gateway, service)))
        first.append(
            Check(
                "domain_renewals",
                partial(dunning.check_one_off_invoices, stripe.gateway, service),
            )
        )
    findings = await _run_all(first, limit)
    schema = next((finding for finding in findings if finding.name == "schema"), None)
    rest = list(_schema_checks(db, stripe))
    if db and stripe and service:
        rest.append(Check("taxes", partial(taxes.check_taxes, db.pool, stripe.gateway, service)))
    if db and service:
        rest.append(Check("product types", partial(work.check_product_types, db.pool, service)))
    if schema is None or schema.status is Status.FAILED:
        return [*findings, *(_skipped(check) for check in rest)]
    return [*findings, *await _run_all(rest, limit)]


def _basics(db: DatabaseSide | None) -> Iterator[Check]:
    yield Check("versions", host.check_versions)
    if db:
        yield Check("database", partial(database.check_server, db.pool, db.settings))
        yield Check("database user", partial(database.check_role, db.pool))
        yield Check("database clock", partial(database.check_database_clock, db.pool))
        yield Check("schema", partial(database.check_schema, db.pool))


def _stripe_checks(stripe: StripeSide | None) -> Iterator[Check]:
    if stripe:
        gateway, settings = stripe.gateway, stripe.settings
        yield Check("stripe key", partial(stripe_account.check_key, gateway, settings))
        yield Check("stripe account", partial(stripe_account.check_account, gateway))
        yield Check("webhook endpoint", partial(endpoints.check_endpoints, gateway, settings))
        yield Check("customer portal", partial(portal.check_portal, gateway, settings))


def _service_checks(service: Settings | None) -> Iterator[Check]:
    if service and service.port:
        yield Check("listeners", partial(listeners.check_listeners, service.port))


def _schema_checks(db: DatabaseSide | None, stripe: StripeSide | None) -> Iterator[Check]:
    """Yield the checks that need our tables."""
    if not db:
        return
    pool = db.pool
    yield Check("database rights", partial(rights.check_rights, pool))
    yield Check("inbox", partial(work.check_inbox, pool))
    yield Check("trouble", partial(work.check_trouble, pool))
    yield Check("queue", partial(work.check_backlog, pool))
    yield Check("worker", partial(work.check_worker, pool))
    yield Check("retention", partial(work.check_retention, pool))
    yield Check("announced prices", partial(work.check_announced_prices, pool))
    yield Check("movements", partial(work.check_movements, pool))
    yield Check("api keys", partial(keys.check_keys, pool))
    if stripe:
        gateway, livemode = stripe.gateway, stripe.settings.livemode
        yield Check("catalogue", partial(stripe_account.check_catalogue, pool, livemode=livemode))
        yield Check(
            "stripe catalogue",
            partial(stripe_account.check_offers, pool, gateway, livemode=livemode),
        )
        yield Check("webhook deliveries", partial(endpoints.check_deliveries, pool, gateway))


async def _run_all(checks: list[Check], limit: float) -> list[Finding]:
    groups = await asyncio.gather(*(_run(check, limit) for check in checks))
    return [finding for group in groups for finding in group]


async def _run(check: Check, limit: float) -> list[Finding]:
    try:
        async with asyncio.timeout(limit):
            return await check.run()
    except TimeoutError:
        return [
            failed(check.name, f"timed out after {limit:.0f} s", "try again; then check the log")
        ]
    except (BillingError, asyncpg.PostgresError) as error:
        return [failed(check.name, _reason_of(error), _advice_on(error))]


def _skipped(check: Check) -> Finding:
    return warning(check.name, "not checked: the schema is missing or outdated", "see above")


def _reason_of(error: Exception) -> str:
    """Describe the error; an unavailable database by its cause: its own words are for buyers."""
    if isinstance(error, DatabaseUnavailableError) and error.__cause__ is not None:
        return f"cannot be reached: {error.__cause__ or type(error.__cause__).__name__}"
    return str(error)


def _advice_on(error: Exception) -> str:
    if isinstance(error, StripeError):
        return "check STRIPE_SECRET_KEY, the permissions of the key, and the network"
    if isinstance(error, DatabaseUnavailableError):
        return "check DATABASE_URL, and that PostgreSQL is running"
    return "check the database's log"
