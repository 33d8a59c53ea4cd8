"""The inbox partitioned by day of receipt: what breaks, and what works.

First the inbox itself, then only its payloads in a separate table: the row stays where its id is
unique, and the large part is dropped day by day.
"""

import time
from pathlib import Path

from benchmarks.servers import attempt, scratch_database
from mpanel_billing.database.queries import Connection

_EVENTS = 100_000

_SAME_KEY = """
CREATE TABLE by_day (LIKE stripe_events INCLUDING ALL)
PARTITION BY RANGE (received_at)
"""
_WIDER_KEY = """
CREATE TABLE by_day (id text, received_at timestamptz, PRIMARY KEY (id, received_at))
PARTITION BY RANGE (received_at);
CREATE TABLE day_1 PARTITION OF by_day FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE day_2 PARTITION OF by_day FOR VALUES FROM ('2026-01-02') TO ('2026-01-03')
"""
_BY_HASH = """
CREATE TABLE by_hash (id text PRIMARY KEY, received_at timestamptz) PARTITION BY HASH (id);
CREATE TABLE hash_0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hash_1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 1)
"""
_SEPARATE_PAYLOADS = """
CREATE TABLE events (id text PRIMARY KEY, received_at timestamptz NOT NULL);
CREATE TABLE payloads (event_id text, received_at timestamptz NOT NULL, payload text)
PARTITION BY RANGE (received_at);
CREATE INDEX ON payloads (event_id);
CREATE TABLE payloads_1 PARTITION OF payloads FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE payloads_2 PARTITION OF payloads FOR VALUES FROM ('2026-01-02') TO ('2026-01-03')
"""
_SAME_PLACE = """
WITH stored AS (
    INSERT INTO by_hash (id)
    SELECT 'evt_more_' || n
    FROM generate_series(1, 1000) AS n
    RETURNING ctid
)
SELECT
    count(*) AS rows,
    count(DISTINCT ctid) AS places
FROM stored
"""
# incompressible text, about the compressed size of a larger event
_RECEIVE = """
WITH received AS (
    INSERT INTO events (id, received_at)
    SELECT 'evt_' || n, '{day}'::timestamptz
    FROM generate_series(1, {events}) AS n
    ON CONFLICT (id) DO NOTHING
    RETURNING id, received_at
)
INSERT INTO payloads (event_id, received_at, payload)
SELECT
    received.id,
    received.received_at,
    (SELECT string_agg(md5(received.id || n), '') FROM generate_series(1, 47) AS n)
FROM received
"""


async def try_partitions(folder: Path) -> None:
    """Print whether PostgreSQL accepts each layout, and what dropping a day costs."""
    async with scratch_database(folder) as conn:
        print("by day, with the keys as they are:", await attempt(conn, _SAME_KEY))
        await conn.execute(_WIDER_KEY)
        await _receive_twice(conn, "by_day", "(id)")
        await _receive_twice(conn, "by_day", "(id, received_at)")
        await conn.execute(_BY_HASH)
        await _receive_twice(conn, "by_hash", "(id)")
        print("by_hash, rows and their ctids:", dict(await conn.fetchrow(_SAME_PLACE) or {}))
        await conn.execute(_SEPARATE_PAYLOADS)
        for day in ("2026-01-01", "2026-01-02"):
            stored = await attempt(conn, _RECEIVE.format(day=day, events=_EVENTS))
            print(f"separate payloads, {_EVENTS:,} events received on {day}: {stored}")
        await _drop_day(conn)


async def _receive_twice(conn: Connection, table: str, key: str) -> None:
    """Receive the same event on two days."""
    for day in ("2026-01-01", "2026-01-02"):
        statement = f"INSERT INTO {table} VALUES ('evt_1', '{day}') ON CONFLICT {key} DO NOTHING"
        print(f"{table}, ON CONFLICT {key}, {day}:", await attempt(conn, statement))


async def _drop_day(conn: Connection) -> None:
    """Print the cost of deleting the rows, and of dropping a partition."""
    for statement in ("DELETE FROM payloads", "DROP TABLE payloads_1"):
        await conn.execute("CHECKPOINT")
        before = await conn.fetchval("SELECT pg_current_wal_insert_lsn()")
        began = time.perf_counter()
        await conn.execute(statement)
        took = (time.perf_counter() - began) * 1000
        wal = await conn.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", before)
        print(f"{statement}: {took:,.0f} ms, {wal:,} bytes of WAL")
