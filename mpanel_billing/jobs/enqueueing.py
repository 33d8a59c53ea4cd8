"""Enqueues by PgQueuer's own statement.

A module that is loaded when something is first enqueued: PgQueuer takes 4 MB and a fifth of a
second, and commands that only look never need it.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from pgqueuer import AsyncpgDriver, Queries

from mpanel_billing.database.queries import Connection


async def enqueue(
    conn: Connection,
    entrypoints: Sequence[str],
    payloads: Sequence[bytes],
    *,
    keys: Sequence[str],
    delays: Sequence[timedelta],
    priority: int,
) -> None:
    """Enqueue jobs, but those whose key another has that waits or runs."""
    # PgQueuer's driver is typed for a connection; the pool's proxy behaves like one
    queries = Queries(_EnqueueDriver(conn))  # type: ignore[arg-type]
    await queries.enqueue(
        [*entrypoints],
        [*payloads],
        [priority] * len(entrypoints),
        execute_after=[*delays],
        dedupe_key=[*keys],
        on_conflict="skip",
    )


class _EnqueueDriver(AsyncpgDriver):
    """Runs PgQueuer's enqueue statement on one of our connections.

    PgQueuer passes the headers as JSON texts in the last argument; our connections encode JSON
    themselves and would encode them twice.
    """

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        *others, headers = args
        decoded = [json.loads(text) for text in cast("list[str]", headers)]
        return await super().fetch(query, *others, decoded)
