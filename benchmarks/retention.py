"""What pruning costs: rows/s, the longest batch, and how much concurrent inserts slow down.

One PostgreSQL with fsync on, an inbox of events that are all old enough, and a client that keeps
inserting new ones. First the payloads are pruned, then the events. A batch is a transaction, so its
duration is how long it holds its locks. EXPLAIN ANALYZE (rolled back) of the first, a middle and
the last batch shows whether the cost of a batch stays flat.

    python -m benchmarks.retention [--events 300000] [--payload-bytes 1500]
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmarks.servers import scratch_folder
from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.pool import Pool, acquired, create_pool
from mpanel_billing.database.queries import load_queries
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.retention.repository import prune_batch
from mpanel_billing.settings import DatabaseSettings

SUBJECTS = {"event_payloads": 90, "events": 400}
_OLDEST = datetime.min.replace(tzinfo=UTC)
_BATCH = 1000
_INDEX = "stripe_events_received_idx"

# incompressible text, about the compressed size of a larger event
SEED = """
WITH payloads AS MATERIALIZED (
    SELECT
        p.number,
        jsonb_build_object('data', (
            SELECT string_agg(md5(p.number || '.' || part), '')
            FROM generate_series(0, $2::integer / 32) AS part
        )) AS payload
    FROM generate_series(0, 99) AS p (number)
)
INSERT INTO stripe_events (id, type, api_version, created, livemode, object_id, payload, status,
    received_at, applied_at)
SELECT
    'evt_' || lpad(n::text, 24, '0'),
    'customer.subscription.updated',
    '2026-10-28.endive',
    now() - interval '800 days' + n * interval '1 second',
    FALSE,
    'sub_' || lpad((n % 100000)::text, 14, '0'),
    p.payload,
    'applied',
    now() - interval '800 days' + n * interval '1 second',
    now()
FROM generate_series(1, $1::integer) AS n
JOIN payloads AS p
    ON p.number = n % 100
"""
NEW = """
INSERT INTO stripe_events (id, type, created, livemode, object_id, payload, status, applied_at)
VALUES ('evt_new' || $1, 'invoice.paid', now(), FALSE, 'in_new', $2, 'applied', now())
"""


@dataclass
class InsertLatencies:
    """How long concurrent inserts took, in milliseconds."""

    waits: list[float] = field(default_factory=list)

    async def insert(self, pool: Pool, name: str) -> None:
        """Insert an event every 5 ms until cancelled."""
        for number in range(10**9):
            began = time.perf_counter()
            await pool.execute(NEW, f"{name}{number}", {"data": "x" * 1500})
            self.waits.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.005)

    def __str__(self) -> str:
        ordered = sorted(self.waits)
        p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        return f"p50 {p50:.1f} p99 {p99:.1f} max {ordered[-1]:.1f} ms ({len(ordered)} inserts)"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.retention", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--payload-bytes", type=int, default=1500)
    options = parser.parse_args(arguments)
    with scratch_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
        postgres.create_database("retention")
        url = postgres.url("retention")
        asyncio.run(measure(url, options.events, options.payload_bytes))


async def measure(url: str, events: int, payload_bytes: int) -> None:
    """Fill the inbox and prune it."""
    await migrate(url)
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        began = time.perf_counter()
        await pool.execute(SEED, events, payload_bytes, timeout=600)
        await pool.execute("VACUUM ANALYZE stripe_events", timeout=600)
        size = await pool.fetchval("SELECT pg_total_relation_size('stripe_events')")
        took = time.perf_counter() - began
        print(f"{events:,} events, {size / 1e9:.2f} GB with indexes, made in {took:.0f} s")
        print("without pruning an insert takes", await _measure_alone(pool))
        for subject, days in SUBJECTS.items():
            await _prune(pool, subject, days, events)


async def _measure_alone(pool: Pool) -> InsertLatencies:
    latencies = InsertLatencies()
    with suppress(TimeoutError):
        async with asyncio.timeout(3):
            await latencies.insert(pool, "alone")
    return latencies


async def _prune(pool: Pool, subject: str, days: int, events: int) -> None:
    latencies, times, rows, since = InsertLatencies(), [], 0, _OLDEST
    inserts = asyncio.create_task(latencies.insert(pool, subject))
    stops = {0: "first", events // _BATCH // 2: "middle", events // _BATCH - 1: "last"}
    explained = []
    while True:
        if name := stops.get(len(times)):
            explained.append(f"  {name} batch: {await _explain(pool, subject, days, since)}")
        began = time.perf_counter()
        async with acquired(pool) as conn:
            batch = await prune_batch(conn, subject, days, since)
        if batch.until is None:
            break
        times.append((time.perf_counter() - began) * 1000)
        rows, since = rows + batch.rows, batch.until
    inserts.cancel()
    seconds = sum(times) / 1000
    median, slowest = statistics.median(times), max(times)
    print(f"{subject}: {rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} rows/s", end="; ")
    print(f"a batch of 1,000: median {median:.1f} ms, longest {slowest:.1f} ms")
    print("\n".join(explained))
    print(f"  meanwhile an insert takes {latencies}")
    if subject == "event_payloads":
        await _print_hot(pool)


async def _explain(pool: Pool, subject: str, days: int, since: datetime) -> str:
    """Return how a batch finds its rows and how many pages it touches; rolls back."""
    query = getattr(load_queries("retention"), f"prune_{subject}")
    values = {"keep_days": str(days), "since": f"'{since.isoformat()}'"}
    if since == _OLDEST:
        values["since"] = "'-infinity'"
    given = ", ".join(values[name] for name in query.parameters)
    async with pool.acquire() as conn:
        await conn.execute(f"PREPARE batch AS {query.sql}")
        attempt = conn.transaction()
        await attempt.start()
        text = await conn.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE batch ({given})"
        )
        await attempt.rollback()
        await conn.execute("DEALLOCATE batch")
    nodes = _walk(json.loads(text)[0]["Plan"])
    [scan] = [node for node in nodes if node.get("Index Name") == _INDEX]
    pages = scan["Shared Hit Blocks"] + scan["Shared Read Blocks"]
    return f"{scan['Node Type']} on {_INDEX}, {scan['Actual Rows']:.0f} rows, {pages} pages"


def _walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(below for child in node.get("Plans", ()) for below in _walk(child))]


async def _print_hot(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await conn.execute("SELECT pg_stat_clear_snapshot()")
        row = await conn.fetchrow(
            """SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot FROM pg_stat_user_tables
               WHERE relname = 'stripe_events'"""
        )
    if row and row["updates"]:
        print(f"  {row['hot'] / row['updates']:.0%} of the updates stayed on their page (HOT)")


if __name__ == "__main__":
    main()
