"""Facts as query parameters, and stored rows as versions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from mpanel_billing.mirror.mirrored_type import Row
from mpanel_billing.mirror.ordering import Version
from mpanel_billing.mirror.repository import StoredLookup
from mpanel_billing.mirror.snapshot import Snapshot, kind_of
from mpanel_billing.mirror.types import MIRRORED_BY_NAME


def lookup_of(snapshot: Snapshot) -> StoredLookup:
    """Return the lookup of the stored row that this snapshot may replace."""
    facts = snapshot.facts
    return StoredLookup(
        object_id=facts.object_id,
        since=snapshot.version.since,
        order_id=getattr(facts, "order_id", None),
        attempt=getattr(facts, "attempt", None),
        stripe_customer_id=getattr(facts, "stripe_customer_id", None),
    )


def stored_version(object_type: str, row: Row | None) -> Version | None:
    """Return the version of the stored row; None if the object is not mirrored yet.

    The content is loaded only if the incoming snapshot may be of the same second.
    """
    if row is None or row["as_of"] is None:
        return None
    state = MIRRORED_BY_NAME[object_type].stored_state(row)
    data = row["payload"]["data"] if row["payload"] is not None else {}
    return Version(
        since=row["since"],
        as_of=row["as_of"],
        event_id=row["event_id"],
        kind=kind_of(row["event_type"]) if row["event_type"] else None,
        final=state.final,
        progress=state.progress,
        content=data.get("object"),
        previous=data.get("previous_attributes"),
    )


def rows_of(snapshots: list[Snapshot], stored: Mapping[str, Row]) -> list[dict[str, Any]]:
    """Return the rows to write for snapshots of one type, with the keys of the stored rows."""
    new_customers: dict[str, UUID] = {}
    return [
        row_of(snapshot) | _place(snapshot, stored.get(snapshot.object_id), new_customers)
        for snapshot in snapshots
    ]


def row_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return the row to write for a snapshot; the statement finds its place."""
    facts = snapshot.facts
    row: dict[str, Any] = facts._asdict()
    row["event_id"] = snapshot.version.event_id
    row["since"] = snapshot.version.since
    row["as_of"] = snapshot.version.as_of
    row |= MIRRORED_BY_NAME[snapshot.object_type].columns(facts)
    return row


def first_row_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return the same, with the ids of the rows that it may be the first to make."""
    mirrored = MIRRORED_BY_NAME[snapshot.object_type]
    return {**row_of(snapshot), **mirrored.new_ids(snapshot.facts)}


def decided_row_of(snapshot: Snapshot, stored: Row | None, *, is_newer: bool) -> dict[str, Any]:
    """Return the row of a snapshot that was decided against the stored one.

    It is written if it `is_newer`, and has an effect only while the stored one is what was `seen`.
    What is not newer keeps its date: the ledger of the revenue takes note of it.
    """
    version = snapshot.version
    since, as_of = _dates(version, stored) if is_newer else (version.since, version.as_of)
    decided = {"since": since, "as_of": as_of, "is_newer": is_newer}
    return {**first_row_of(snapshot), **decided, "seen": stored["seen"] if stored else None}


def _place(
    snapshot: Snapshot, stored: Row | None, new_customers: dict[str, UUID]
) -> dict[str, Any]:
    facts = snapshot.facts
    since, as_of = _dates(snapshot.version, stored)
    placed = MIRRORED_BY_NAME[snapshot.object_type].place(facts, stored, new_customers)
    return {"since": since, "as_of": as_of, **placed}


def _dates(version: Version, stored: Row | None) -> tuple[datetime, datetime]:
    """Never date a snapshot before the one it replaces, even if Stripe's clocks disagree.

    By a test clock, events are only compared with events, so each keeps its date.
    """
    if stored is None or stored["as_of"] is None or version.test_clock:
        return version.since, version.as_of
    return max(version.since, stored["as_of"]), max(version.as_of, stored["as_of"])
