"""Which of snapshots and stored rows is newer, if they are of the same second (rule 4)."""

from collections.abc import Mapping, Sequence

from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.mirrored_type import Row
from mpanel_billing.mirror.ordering import Decision, Version, order
from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.mirror.rows import stored_version
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types import MIRRORED_BY_NAME, normalise


async def decide(
    conn: Connection, snapshots: Sequence[Snapshot], rows: Mapping[str, Row]
) -> Mapping[str, Decision]:
    """Decide on snapshots of one type against their stored rows; returns decisions by Stripe id.

    An event that says the same as the row is stale if nothing else decides: whichever is newer, the
    row is right. An event that says otherwise is open against either, so nothing gets lost.
    """
    stored = {s.object_id: stored_version(s.object_type, rows.get(s.object_id)) for s in snapshots}
    decisions = {s.object_id: order(stored[s.object_id], s.version) for s in snapshots}
    tied = [s for s in snapshots if decisions[s.object_id].needs_refetch and s.version.event_id]
    if tied:
        repeated = await _find_repeated(conn, tied, stored)
        decisions |= dict.fromkeys(repeated, Decision.STALE)
    return decisions


async def _find_repeated(
    conn: Connection, tied: Sequence[Snapshot], stored: Mapping[str, Version | None]
) -> set[str]:
    """Return which events say what their row says."""
    of_events = {s.object_id for s in tied if _says_event(s, stored[s.object_id])}
    fetched = [s for s in tied if (v := stored[s.object_id]) is not None and v.event_id is None]
    return of_events | (await _find_repeating_fetched(conn, fetched) if fetched else set())


def _says_event(snapshot: Snapshot, stored: Version | None) -> bool:
    """Whether the stored snapshot is an event's, and has the same facts."""
    if stored is None or stored.content is None or stored.event_id is None:
        return False
    try:
        return normalise(stored.content, livemode=snapshot.facts.livemode) == snapshot.facts
    except UnreadableObjectError:
        return False  # an earlier release could read it


async def _find_repeating_fetched(conn: Connection, tied: Sequence[Snapshot]) -> set[str]:
    """Return which events say what was fetched: it always says more than an event."""
    mirrored = MIRRORED_BY_NAME[tied[0].object_type]
    if (comparison := mirrored.comparison) is None:
        # nothing of it is compared, but a final state stays as it is
        return {s.object_id for s in tied if s.version.final}
    rows = await repository.list_compared(conn, mirrored.object_type, [s.object_id for s in tied])
    return {
        s.object_id
        for s in tied
        if (row := rows.get(s.object_id)) is not None
        and not any(comparison.differences(s.facts, row))
    }
