"""The triggers of jobs, which are rows of PgQueuer's."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("jobs")


async def enqueue_triggers(
    conn: Connection,
    triggers: Sequence[tuple[str, str, int, float]],
    headers: Mapping[str, Any] | None,
) -> None:
    """Enqueue triggers (entrypoint, id, version, seconds) as PgQueuer does, skipping duplicates.

    Each job gets the `headers`.
    """
    entrypoints, ids, versions, delays = zip(*triggers, strict=True)
    await _queries.enqueue_triggers.execute(
        conn, entrypoints=entrypoints, ids=ids, versions=versions, delays=delays, headers=headers
    )
