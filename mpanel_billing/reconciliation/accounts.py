"""The accounts at the drivers compared with our books."""

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
    """Look at some accounts; have the worker bring back those that differ, unless it is dry.

    An account that nobody can look at (orders that are only logged, a server that is away) is no
    drift: billing_trouble has those that are not as wished.
    """
    place = None if after is None else _place_of(after)
    looked = await find_drift_page(pool, drivers, place)
    drift = await _repaired(pool, looked.drift, dry_run=dry_run)
    end = None if looked.last is None else f"{looked.last[0]}/{looked.last[1]}"
    return Progress(drift, end, done=looked.last is None, accounts=looked.known)


async def inspect_subscription(
    pool: Pool, drivers: Drivers, subscription_id: UUID, *, dry_run: bool
) -> list[Drift]:
    """Look at the accounts of one subscription."""
    return await _repaired(
        pool, await find_drift_of(pool, drivers, subscription_id), dry_run=dry_run
    )


async def _repaired(pool: Pool, found: Iterable[AccountDrift], *, dry_run: bool) -> list[Drift]:
    drift = []
    for each in found:
        if not isinstance(each.found, Unknown):
            repaired = not dry_run and await repair(pool, each)
            drift.append(_drift(each, each.found, repaired=repaired))
    return drift


def _drift(each: AccountDrift, found: Found, *, repaired: bool) -> Drift:
    same_word = found.actual == each.expected
    return Drift(
        "account",
        f"{each.account.subscription_id}/{each.account.product_type}",
        "resources" if same_word else "actual",
        each.expected,
        "other resources, or another reference" if same_word else found.actual,
        repaired,
    )


def _place_of(cursor: str) -> tuple[UUID, str]:
    subscription_id, _, product_type = cursor.partition("/")
    return UUID(subscription_id), product_type
