"""What this process has just written of invoices: those of one second follow each other.

An invoice that is made, finalized and paid in one second sends four events of that second. The
database cannot order them by their dates. What this process remembers of the row saves asking what
is stored: the event is decided at once, and applied if the row is still the one that is remembered;
if it is not, the database says what is stored, as to anybody else.
"""

from collections.abc import Mapping, Sequence

from mpanel_billing.mirror.mirrored_type import Row
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types.invoice import InvoiceFacts
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.prepared import PreparedEvent

_MOST = 64
"""Invoices, each with what its event carries: some 30 KB. Those of a second come close together."""


class RecentInvoices:
    """The rows of the invoices that were written last."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._rows: dict[str, Row] = {}

    def note_all(self, events: Sequence[PreparedEvent], written: Mapping[str, str]) -> None:
        """Remember the rows of events that are committed; `written` identifies each, by event."""
        for each in events:
            if seen := written.get(each.event.id):
                self._note(each, seen)

    def _note(self, prepared: PreparedEvent, seen: str) -> None:
        snapshot = prepared.event.snapshot
        if snapshot is None or not isinstance(snapshot.facts, InvoiceFacts):
            return
        if not prepared.becomes_row or snapshot.version.test_clock:
            return
        self._rows.pop(snapshot.object_id, None)  # the latest comes last
        self._rows[snapshot.object_id] = _row_of(prepared.event, snapshot, seen)
        if len(self._rows) > _MOST:
            del self._rows[next(iter(self._rows))]

    def find(self, prepared: PreparedEvent) -> Row | None:
        """Return the row that an event cannot replace by its date alone; None: there is none."""
        row = self._rows.get(prepared.object_id)
        snapshot = prepared.event.snapshot
        if row is None or snapshot is None or snapshot.version.since > row["as_of"]:
            return None
        return row


def _row_of(event: Event, snapshot: Snapshot, seen: str) -> Row:
    """Return the row as the database would."""
    version = snapshot.version
    data = {"object": version.content, "previous_attributes": version.previous}
    return {
        "since": version.since,
        "as_of": version.as_of,
        "event_id": event.id,
        "event_type": event.type,
        "payload": {"data": data},
        "seen": seen,
        **snapshot.facts._asdict(),
    }
