"""Compare the services' accounts with our records, and have the worker repair what differs."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.provisioning.drivers.protocol import Account, Found, Unknown
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.provisioning.operations import retry
from mpanel_billing.provisioning.repository import operations as repository

_PAGE = 50
_BEFORE_ALL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Drift:
    """An account that differs from our record of it; `found` is its state, or why it is unknown."""

    account: Account
    generation: int
    expected: str
    found: Found | Unknown

    def describe(self) -> str:
        """Describe it for the operator."""
        place = f"{self.account.subscription_id} {self.account.product_type}"
        if isinstance(self.found, Unknown):
            return f"{place}: {self.expected}, but could not be checked: {self.found.reason}"
        if self.found.suspended_by_service is not None:
            reason = self.found.suspended_by_service
            return f"{place}: suspended by the service itself, so not resumed: {reason}"
        if self.found.actual == self.expected:
            return f"{place}: its resources, reference or generation differ from our record"
        return f"{place}: should be {self.expected}, is {self.found.actual}"


@dataclass(frozen=True, slots=True)
class DriftPage:
    """The drift among a page of accounts.

    `known` counts the accounts that could be checked; `last` is the last account of the page;
    None: there are no more.
    """

    drift: Sequence[Drift]
    known: int
    last: tuple[UUID, str] | None


async def find_drift(pool: Pool, drivers: Drivers) -> AsyncIterator[Drift]:
    """Inspect every account, and yield those that differ from our records."""
    page = await find_drift_page(pool, drivers, None)
    while page.last is not None:
        for drift in page.drift:
            yield drift
        page = await find_drift_page(pool, drivers, page.last)


async def find_drift_page(
    pool: Pool, drivers: Drivers, after: tuple[UUID, str] | None
) -> DriftPage:
    """Inspect the next page of accounts after one, in order of subscription and product type."""
    rows = await _page(pool, after or (_BEFORE_ALL, ""))
    drift = await _inspect_all(drivers, rows)
    unknown = sum(isinstance(each.found, Unknown) for each in drift)
    last = (rows[-1]["subscription_id"], rows[-1]["product_type"]) if rows else None
    return DriftPage(drift, len(rows) - unknown, last)


async def find_drift_of(pool: Pool, drivers: Drivers, subscription_id: UUID) -> Sequence[Drift]:
    """Inspect the accounts of one subscription."""
    rows = await _page(pool, (subscription_id, ""))
    return await _inspect_all(drivers, [r for r in rows if r["subscription_id"] == subscription_id])


async def _inspect_all(drivers: Drivers, rows: Sequence[asyncpg.Record]) -> list[Drift]:
    async with asyncio.TaskGroup() as group:
        checks = [group.create_task(_inspect(drivers, row)) for row in rows]
    return [drift for check in checks if (drift := check.result()) is not None]


async def repair(pool: Pool, drift: Drift, by: Actor | None = None) -> bool:
    """Record the account as it was found, so that the worker brings it to the desired state.

    False if that is not possible now: its state is unknown, or the worker is busy with it. `by`
    is who asked for it, for the audit log; None: the service itself.
    """
    if isinstance(drift.found, Unknown):
        return False
    async with transaction(pool) as conn:
        if not await repository.adopt_finding(conn, drift.account, drift.generation, drift.found):
            return False
        target = Target("subscription", str(drift.account.subscription_id))
        await audit.record(conn, by, "subscription.fix", target, _change_of(drift))
    await retry(pool, drift.account.subscription_id)
    return True


def _change_of(drift: Drift) -> Mapping[str, object]:
    return {
        "service": drift.account.product_type,
        "expected": drift.expected,
        "found": drift.found.actual if isinstance(drift.found, Found) else None,
    }


async def _page(pool: Pool, after: tuple[UUID, str]) -> Sequence[asyncpg.Record]:
    async with acquired(pool) as conn:
        return await repository.list_accounts(conn, after, _PAGE)


async def _inspect(drivers: Drivers, row: asyncpg.Record) -> Drift | None:
    account = Account(
        row["subscription_id"], row["product_type"], row["external_ref"], row["account_id"]
    )
    limited = drivers.find(row["product_type"], row["driver"], row["server"])
    if limited is None:
        found: Found | Unknown = Unknown("its driver is no longer configured")
    else:
        async with limited.limit.slot():
            found = await limited.driver.inspect(account)
    if _agrees(row, found):
        return None
    return Drift(account, row["generation"], row["actual"], found)


def _agrees(row: asyncpg.Record, found: Found | Unknown) -> bool:
    if isinstance(found, Unknown):
        return False
    gone = {"absent", "terminated"}
    if found.actual in gone or row["actual"] in gone:
        return found.actual in gone and row["actual"] in gone
    return (
        found.actual == row["actual"]
        and found.external_ref in {None, row["external_ref"]}
        and found.resources in (None, row["resources"])
        and found.suspended_by_service == row["suspended_by_service"]
        and (found.generation or 0) <= row["generation"]
    )
