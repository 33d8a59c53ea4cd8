"""Compare the services' accounts with our records."""

from collections.abc import Iterable
from uuid import UUID

from mpanel_billing.database.pool import Pool
from mpanel_billing.provisioning.drift import Drift as AccountDrift
from mpanel_billing.provisioning.drift import find_drift_of, find_drift_page, repair
from mpanel_billing.provisioning.drivers.protocol import Found, Unknown
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.reconciliation.drift import Drift, Progress


async def inspect_page(
    pool: Pool, drivers: Drivers, after: str | None, *, dry_run: bool
) -> Progress:
    """Check the next page of accounts; unless it is a dry run, have the worker repair drift.

    An account that cannot be checked (its driver only logs, or its server is down) is not drift;
    billing_trouble lists the services that are not in their desired state.
    """
    position = None if after is None else _parse_cursor(after)
    page = await find_drift_page(pool, drivers, position)
    drift = await _repair_all(pool, page.drift, dry_run=dry_run)
    end = None if page.last is None else f"{page.last[0]}/{page.last[1]}"
    return Progress(drift, end, done=page.last is None, accounts=page.known)


async def inspect_subscription(
    pool: Pool, drivers: Drivers, subscription_id: UUID, *, dry_run: bool
) -> list[Drift]:
    """Check the accounts of one subscription, and have the worker repair drift."""
    return await _repair_all(
        pool, await find_drift_of(pool, drivers, subscription_id), dry_run=dry_run
    )


async def _repair_all(pool: Pool, drifts: Iterable[AccountDrift], *, dry_run: bool) -> list[Drift]:
    drift = []
    for each in drifts:
        if not isinstance(each.found, Unknown):
            repaired = not dry_run and await repair(pool, each)
            drift.append(_account_drift(each, each.found, repaired=repaired))
    return drift


def _account_drift(each: AccountDrift, found: Found, *, repaired: bool) -> Drift:
    same_state = found.actual == each.expected
    return Drift(
        "account",
        f"{each.account.subscription_id}/{each.account.product_type}",
        "resources" if same_state else "actual",
        each.expected,
        "different resources or reference" if same_state else found.actual,
        repaired,
    )


def _parse_cursor(cursor: str) -> tuple[UUID, str]:
    subscription_id, _, product_type = cursor.partition("/")
    return UUID(subscription_id), product_type
