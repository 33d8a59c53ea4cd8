"""The rows that mirror Stripe objects, and the requests to refetch one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.mirror.mirrored_type import Person
from mpanel_billing.mirror.types import MIRRORED

_subscriptions = load_queries("subscriptions")
_invoices = load_queries("invoices")
_refetches = load_queries("refetches")
_refunds = load_queries("refunds")
_adoptions = load_queries("adoptions")
_privacy = load_queries("privacy")
_messages = load_queries("messages")

GROUPS: Mapping[str, str] = {
    "customer": "customers",
    "charge": "charges",
    "refund": "refunds",
    "invoice_payment": "payments",
    "invoice": "invoices",
    "subscription": "subscriptions",
    "checkout.session": "sessions",
}
"""The parameter that takes snapshots of a type, in queries of several types; others are rare."""

_BY_TYPE = {each.object_type: load_queries(each.query_file) for each in MIRRORED}
_SAY_WHAT_THEY_AFFECT = ("subscription", "invoice")
"""Frequent types, most of whose snapshots affect nothing derived."""


@dataclass(frozen=True, slots=True)
class StoredLookup:
    """Finds the stored row of an object, and whether it may be of the same second or newer."""

    object_id: str
    since: datetime
    order_id: UUID | None = None
    attempt: int | None = None
    stripe_customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """Result of recomputing the derived columns.

    `changed` lists subscriptions whose status changed; `work` those whose desired state may have
    changed, each with the version of its provisioning_work.
    """

    changed: tuple[UUID, ...]
    work: tuple[tuple[UUID, int], ...]


async def lock_objects(conn: Connection, keys: Sequence[str]) -> None:
    """Lock each object until the transaction ends; keys must be in the global order."""
    await _subscriptions.lock_objects.execute(conn, keys=keys)


async def silence_messages(conn: Connection) -> None:
    """Let mPanel be told nothing of what the transaction changes."""
    await _messages.silence_messages.fetch_value(conn)


async def list_erased(conn: Connection, people: Sequence[Person]) -> set[str]:
    """Return the ids of those Stripe customers whose personal data has been erased."""
    rows = await _privacy.list_erased.fetch(
        conn,
        stripe_customer_ids=[person.stripe_customer_id for person in people],
        emails=[person.email for person in people],
        createds=[person.created for person in people],
    )
    return {row["stripe_customer_id"] for row in rows}


async def list_stored(
    conn: Connection, object_type: str, lookups: Sequence[StoredLookup]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the stored row of each incoming object, by Stripe id."""
    if object_type not in GROUPS:
        return await _list_stored_of_rare(conn, object_type, lookups)
    told: dict[str, object] = dict.fromkeys(GROUPS.values())
    told[GROUPS[object_type]] = [asdict(each) for each in lookups]
    rows = await _refetches.list_stored.fetch(conn, **told)
    return {row["object_id"]: stored_row(row) for row in rows}


async def _list_stored_of_rare(
    conn: Connection, object_type: str, lookups: Sequence[StoredLookup]
) -> Mapping[str, Mapping[str, Any]]:
    rows = await _BY_TYPE[object_type].list_stored.fetch(
        conn,
        object_ids=[each.object_id for each in lookups],
        sinces=[each.since for each in lookups],
    )
    return {row["object_id"]: dict(row) for row in rows}


def stored_row(row: asyncpg.Record) -> Mapping[str, Any]:
    """Return what is stored of an object: the version, and the facts that its type needs."""
    facts = row["facts"]
    ids = {name: UUID(facts[name]) for name in _OUR_IDS if facts.get(name)}
    return {**facts, **ids, **{name: row[name] for name in _VERSION}}


_OUR_IDS = ("subscription_id", "customer_id", "deleted_id")
_VERSION = ("since", "as_of", "event_id", "event_type", "payload", "seen")


async def write_decided(
    conn: Connection, object_type: str, rows: Sequence[Mapping[str, Any]]
) -> Mapping[str, bool]:
    """Write snapshots that the ordering rules accepted.

    Returns their ids, each with whether it affects derived columns.
    """
    query = _BY_TYPE[object_type].write_snapshots
    if object_type not in _SAY_WHAT_THEY_AFFECT:
        await query.execute(conn, snapshots=rows)
        return dict.fromkeys((row["object_id"] for row in rows), True)
    written = await query.fetch(conn, snapshots=rows)
    return {row["object_id"]: row["affects_derived"] for row in written}


async def observe_late(conn: Connection, snapshots: Sequence[Mapping[str, Any]]) -> None:
    """Let the ledger of the revenue take note of subscriptions as they were before."""
    await _subscriptions.observe_late.fetch_value(conn, snapshots=snapshots)


async def list_deleted_here(conn: Connection, object_ids: Sequence[str]) -> set[str]:
    """Return which of these subscriptions were deleted here, undecided by an operator."""
    rows = await _adoptions.list_deleted_here.fetch(conn, stripe_subscription_ids=object_ids)
    return {row["stripe_subscription_id"] for row in rows}


async def note_deleted(conn: Connection, subscriptions: Sequence[Mapping[str, Any]]) -> None:
    """Store what Stripe reports of subscriptions whose rows were deleted here."""
    await _adoptions.note_deleted.execute(conn, subscriptions=subscriptions)


async def adopt_orders(conn: Connection, orders: Sequence[Mapping[str, Any]]) -> None:
    """Complete the new rows of lost orders, and have their accounts looked for."""
    await _adoptions.adopt_orders.execute(conn, orders=orders)


async def list_invoice_subscriptions(conn: Connection, invoice_ids: Sequence[str]) -> list[str]:
    """Return the Stripe subscriptions of these Stripe invoices, if known."""
    rows = await _invoices.list_invoice_subscriptions.fetch(conn, stripe_invoice_ids=invoice_ids)
    return [row["stripe_subscription_id"] for row in rows]


async def list_paid_invoices(conn: Connection, payment_intent_ids: Sequence[str]) -> list[str]:
    """Return the Stripe invoices that these payments have paid."""
    rows = await _refunds.list_paid_invoices.fetch(
        conn, stripe_payment_intent_ids=payment_intent_ids
    )
    return [row["stripe_invoice_id"] for row in rows]


async def note_taken_back(conn: Connection, invoice_ids: Sequence[str]) -> None:
    """Write what refunds, credit notes and disputes have taken back of these, which are locked."""
    await _refunds.note_taken_back.execute(conn, stripe_invoice_ids=invoice_ids)


async def list_stripe_ids(conn: Connection, subscription_ids: Sequence[UUID]) -> list[str]:
    """Return the Stripe ids of these subscriptions, if known."""
    rows = await _subscriptions.list_stripe_ids.fetch(conn, subscription_ids=subscription_ids)
    return [row["stripe_subscription_id"] for row in rows]


async def list_unfetched_discounts(conn: Connection, stripe_ids: Sequence[str]) -> list[str]:
    """Return which of these subscriptions have discounts that Stripe was not asked for yet."""
    rows = await _subscriptions.list_unfetched_discounts.fetch(
        conn, stripe_subscription_ids=stripe_ids
    )
    return [row["stripe_subscription_id"] for row in rows]


async def find_subscription_of_item(conn: Connection, stripe_item_id: str) -> str | None:
    """Return the Stripe subscription that an item belongs to, if known."""
    found: str | None = await _subscriptions.find_subscription_of_item.fetch_value(
        conn, stripe_subscription_item_id=stripe_item_id
    )
    return found


async def derive(
    conn: Connection, stripe_ids: Sequence[str], subscription_ids: Sequence[UUID]
) -> Derived:
    """Recompute the derived columns of these subscriptions.

    They are given by Stripe id, or by our id if the Stripe id is not known yet.
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
    """Notify waiters for these subscriptions at commit."""
    await _subscriptions.notify.execute(conn, subscription_ids=subscription_ids)


async def request_refetches(
    conn: Connection, requests: Sequence[Mapping[str, Any]]
) -> list[tuple[str, int, float]]:
    """Request refetches of different objects (object_id, object_type, reason, tied_at).

    `tied_at`: only if the row is not of a later second by then. Returns each id with the version of
    the request and the seconds until it may be asked.
    """
    rows = await _refetches.request_refetches.fetch(conn, requests=requests)
    return [(row["object_id"], row["version"], row["delay_seconds"]) for row in rows]


async def lease_refetch(
    conn: Connection, object_id: str, lease_seconds: float
) -> asyncpg.Record | None:
    """Lease a refetch request (object_type, version, attempts, tied_at).

    None if it is leased or gone.
    """
    return await _refetches.lease_refetch.fetch_one(
        conn, object_id=object_id, lease_seconds=lease_seconds
    )


async def clear_refetch(conn: Connection, object_id: str, version: int) -> int | None:
    """Delete the request; if it is newer than `version`, keep it and return its version."""
    newer: int | None = await _refetches.clear_refetch.fetch_value(
        conn, object_id=object_id, version=version
    )
    return newer


async def list_due_refetches(conn: Connection, most: int) -> list[tuple[str, int, float]]:
    """Return the objects to refetch now, as `request_refetches` does."""
    rows = await _refetches.list_due_refetches.fetch(conn, most=most)
    return [(row["object_id"], row["version"], 0.0) for row in rows]


async def postpone_refetch(
    conn: Connection, object_id: str, error: str, retry_in_seconds: float
) -> None:
    """Record why the refetch failed, and when to retry."""
    await _refetches.postpone_refetch.execute(
        conn, object_id=object_id, error=error, retry_in_seconds=retry_in_seconds
    )


async def keep_failed_refetches(
    conn: Connection, failed: Sequence[Mapping[str, str]], retry_in_seconds: float
) -> None:
    """Record objects (object_id, object_type, error) that could not be read, to be refetched."""
    await _refetches.keep_failed_refetches.execute(
        conn, failed=failed, retry_in_seconds=retry_in_seconds
    )


async def list_compared(
    conn: Connection, object_type: str, object_ids: Sequence[str]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the columns of these objects that reconcile compares, by Stripe id."""
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
    """Return the ids, among the next rows, that a reconcile run has not found at Stripe.

    Also returns the last id read, None if there are no more rows.
    """
    row = await _BY_TYPE[object_type].find_absent.fetch_one(
        conn, after=after, most=most, livemode=livemode, started_at=started_at
    )
    if row is None or row["looked_at"] == 0:
        return [], None
    return row["absent"] or [], row["last_id"]
