"""The full path: what the fast path leaves is decided in Python, and applied by the same statement.

The decision is made on what was stored; the statement leaves the event if that has changed since. A
further statement reads what a fetched row says, if an event is of its second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from mpanel_billing.database.pool import encode_json
from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror.mirrored_type import Row
from mpanel_billing.mirror.repository import GROUPS
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.mirror.verdicts import Verdict, judge
from mpanel_billing.webhooks.fast_path import receive
from mpanel_billing.webhooks.prepared import PreparedEvent
from mpanel_billing.webhooks.recent import RecentInvoices

_ROUNDS = 3
"""How often to decide again because another transaction was faster."""


@dataclass(frozen=True, slots=True)
class LeftEvent:
    """An event that the fast path has left, and what was stored of its object (None: nothing).

    Not `seen`: its locks were taken, and nobody has looked.
    """

    prepared: PreparedEvent
    stored: Row | None
    seen: bool


async def receive_decided(
    conn: Connection, left: Sequence[LeftEvent], recent: RecentInvoices
) -> Mapping[str, Outcome]:
    """Decide on events of different objects, keep and apply them, and return their outcomes.

    `recent` takes note of what is written. Each statement is a transaction of its own. Events
    without an outcome are untouched: they need what only the transaction of the inbox does.
    """
    outcomes: dict[str, Outcome] = {}
    for _ in range(_ROUNDS):
        ready = await _decide(conn, left)
        if not ready:
            break
        received = await receive(conn, ready, waits=True)
        outcomes |= received.outcomes
        recent.note_all(ready, received.written)
        left = [
            LeftEvent(each.prepared, received.left[each.prepared.event.id], seen=True)
            for each in left
            if each.prepared.event.id in received.left
        ]
    return outcomes


async def _decide(conn: Connection, left: Sequence[LeftEvent]) -> list[PreparedEvent]:
    """Return the events as decided; those that nobody has looked at, as they are."""
    seen = [each for each in left if each.seen]
    rows = {each.prepared.object_id: each.stored for each in seen if each.stored}
    snapshots = [s for each in seen if (s := each.prepared.event.snapshot)]
    verdicts = await judge(conn, snapshots, rows)
    return [
        *(each.prepared for each in left if not each.seen),
        *(
            _decided(each.prepared, verdict)
            for each in seen
            if (verdict := verdicts.get(each.prepared.object_id))
        ),
    ]


def _decided(prepared: PreparedEvent, verdict: Verdict) -> PreparedEvent:
    snapshot = prepared.event.snapshot
    assert snapshot  # noqa: S101 - only events with one are prepared
    dated = verdict.row["as_of"] == snapshot.version.as_of
    return prepared._replace(
        group=GROUPS[snapshot.object_type],
        row=orjson.Fragment(encode_json(verdict.row)),
        outcome=verdict.outcome,
        becomes_row=verdict.row["is_newer"] and dated,
    )
