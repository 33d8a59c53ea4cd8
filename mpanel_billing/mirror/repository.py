"""The rows that mirror Stripe's objects, and the wishes to ask Stripe about one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.mirror.types import MIRRORED

_subscriptions = load_queries("subscriptions")
_invoices = load_queries("invoices")
_refetches = load_queries("refetches")

_BY_TYPE = {each.object_type: load_queries(each.query_file) for each in MIRRORED}
_WRITES_LATER = {
    object_type
    for object_type, queries in _BY_TYPE.items()
    if "rule" in queries.write_snapshots.parameters
}
"""Frequent types: their statement compares with the stored row itself, where that is clear."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is needed to find what is stored of an object, and whether it may be as new."""

    object_id: str
    since: datetime
    order_id: UUID | None = None
    attempt: int | None = None
    stripe_customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """What changed when the derived columns were brought up to date.

    `changed` are subscriptions of another status now; `work` those whose desired state may
    have changed, each with the version of its provisioning_work.
    """

    changed: tuple[UUID, ...]
    work: tuple[tuple[UUID, int], ...]


async def lock_objects(conn: Connection, keys: Sequence[str]) -> None:
    """Wait for, then hold, each object until the transaction ends; keys in a global order."""
    await _subscriptions.lock_objects.execute(conn, keys=keys)


async def list_stored(
    conn: Connection, object_type: str, questions: Sequence[Question]
) -> Mapping[str, Mapping[str, Any]]:
    """Return what we have of each incoming object, by Stripe id."""
    columns: dict[str, object] = {
        "object_ids": [q.object_id for q in questions],
        "sinces": [q.since for q in questions],
        "order_ids": [q.order_id for q in questions],
        "attempts": [q.attempt for q in questions],
        "stripe_customer_ids": [q.stripe_customer_id for q in questions],
    }
    query = _BY_TYPE[object_type].list_stored
    rows = await query.fetch(conn, **{name: columns[name] for name in query.parameters})
    return {row["object_id"]: dict(row) for row in rows}


async def write_later(
    conn: Connection, object_type: str, rows: Sequence[Mapping[str, Any]]
) -> Mapping[str, bool]:
    """Write the snapshots that are newer by a later second than what is stored.

    Returns, by Stripe id, what was written and whether it affects derived columns. Of rare types
    nothing is written here: what is stored has to be read first.
    """
    if object_type not in _WRITES_LATER:
        return {}
    return await _write(conn, object_type, rows, rule="later")


async def write_decided(
    conn: Connection, object_type: str, rows: Sequence[Mapping[str, Any]]
) -> Mapping[str, bool]:
    """Write snapshots that the ordering rules have let through; answers like `write_later`."""
    if object_type in _WRITES_LATER:
        return await _write(conn, object_type, rows, rule="decided")
    await _BY_TYPE[object_type].write_snapshots.execute(conn, snapshots=rows)
    return dict.fromkeys((row["object_id"] for row in rows), True)


async def _write(
    conn: Connection, object_type: str, rows: Sequence[Mapping[str, Any]], *, rule: str
) -> Mapping[str, bool]:
    query = _BY_TYPE[object_type].write_snapshots
    written = await query.fetch(conn, snapshots=rows, rule=rule)
    return {row["object_id"]: row["affects_derived"] for row in written}


async def list_invoice_subscriptions(conn: Connection, invoice_ids: Sequence[str]) -> list[str]:
    """Return the Stripe subscriptions that these Stripe invoices are of, as far as known."""
    rows = await _invoices.list_invoice_subscriptions.fetch(conn, stripe_invoice_ids=invoice_ids)
    return [row["stripe_subscription_id"] for row in rows]


async def list_stripe_ids(conn: Connection, subscription_ids: Sequence[UUID]) -> list[str]:
    """Return the Stripe subscriptions that these rows of ours mirror, as far as known."""
    rows = await _subscriptions.list_stripe_ids.fetch(conn, subscription_ids=subscription_ids)
    return [row["stripe_subscription_id"] for row in rows]


async def derive(
    conn: Connection, stripe_ids: Sequence[str], subscription_ids: Sequence[UUID]
) -> Derived:
    """Bring up to date what follows from the mirrored rows of these subscriptions.

    They are named by Stripe's ids, or by ours where Stripe's is not known yet.
    """
    rows = await _subscriptions.derive.fetch(
        conn, stripe_subscription_ids=stripe_ids, subscription_ids=subscription_ids
    )
    return Derived(
        changed=tuple(row["subscription_id"] for row in rows if row["changed"]),
        work=tuple(
            (row["subscription_id"], row["work_version"])
            for row in rows
            if row["work_version"] is not None
        ),
    )


async def notify(conn: Connection, subscription_ids: Sequence[UUID]) -> None:
    """Wake whoever waits for these subscriptions, at commit."""
    await _subscriptions.notify.execute(conn, subscription_ids=subscription_ids)


async def request_refetches(
    conn: Connection, requests: Sequence[Mapping[str, str]]
) -> list[tuple[str, int]]:
    """Wish to ask Stripe about objects (object_id, object_type, reason); answer the versions."""
    rows = await _refetches.request_refetches.fetch(conn, requests=requests)
    return [(row["object_id"], row["version"]) for row in rows]


async def await_objects(conn: Connection, requests: Sequence[Mapping[str, str]]) -> None:
    """Wish to ask Stripe in a while about objects whose own events should come first."""
    await _refetches.await_objects.execute(conn, requests=requests)


async def clear_awaited(conn: Connection, object_ids: Sequence[str]) -> None:
    """Drop the wishes for awaited objects that have come by themselves."""
    await _refetches.clear_awaited.execute(conn, object_ids=object_ids)


async def lease_refetch(
    conn: Connection, object_id: str, lease_seconds: float
) -> asyncpg.Record | None:
    """Take the wish for an object (object_type, version, attempts), if nobody else has it."""
    return await _refetches.lease_refetch.fetch_one(
        conn, object_id=object_id, lease_seconds=lease_seconds
    )


async def clear_refetch(conn: Connection, object_id: str, version: int) -> int | None:
    """Drop the wish; if it was made again since that version, keep it and answer the new one."""
    newer: int | None = await _refetches.clear_refetch.fetch_value(
        conn, object_id=object_id, version=version
    )
    return newer


async def list_due_refetches(conn: Connection, most: int) -> list[tuple[str, int]]:
    """Return the objects to refetch now, each with the version of its request."""
    rows = await _refetches.list_due_refetches.fetch(conn, most=most)
    return [(row["object_id"], row["version"]) for row in rows]


async def postpone_refetch(
    conn: Connection, object_id: str, error: str, retry_in_seconds: float
) -> None:
    """Note why Stripe could not be asked, and when to try again."""
    await _refetches.postpone_refetch.execute(
        conn, object_id=object_id, error=error, retry_in_seconds=retry_in_seconds
    )


async def list_compared(
    conn: Connection, object_type: str, object_ids: Sequence[str]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the rows of these objects as reconcile compares them, by Stripe id."""
    rows = await _BY_TYPE[object_type].list_compared.fetch(conn, object_ids=object_ids)
    return {row["object_id"]: dict(row) for row in rows}


async def find_absent(
    conn: Connection,
    object_type: str,
    *,
    after: str,
    most: int,
    livemode: bool,
    started_at: datetime,
) -> tuple[list[str], str | None]:
    """Return which of the next rows a reconcile run has not found at Stripe, and the last id.

    The last id is None if there are no more rows.
    """
    row = await _BY_TYPE[object_type].find_absent.fetch_one(
        conn, after=after, most=most, livemode=livemode, started_at=started_at
    )
    if row is None or row["looked_at"] == 0:
        return [], None
    return row["absent"] or [], row["last_id"]
