"""Bloat: how much tables and indexes grow by 1,000,000 updates of rows that are there.

    python -m benchmarks bloat [--subscriptions 1000000] [--updates 1000000] [--folder FOLDER]

Makes the rows of `python -m benchmarks reads`, or takes those in the folder. Then random
subscriptions renew in batches of 20, as the fast path writes them: the subscription, its items and
its latest invoice are updated, and every tenth gets new work for provisioning, which is done.
Prints the share of updates that touched no index, and the bytes before and after. It exits with 1
if a table has grown by more than MOST.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.many_rows import kept_or_scratch, prepare
from mpanel_billing.database.queries import Connection
from mpanel_billing.dev.postgres import EmbeddedPostgres

MOST = 1.25
"""How many times as large a table may become, indexes included."""

TABLES = ("subscriptions", "subscription_items", "invoices", "provisioning_work")
_BATCH = 20
_SETTINGS = ("autovacuum_naptime = '15s'",)
"""A run is minutes, not weeks: vacuum looks as much more often."""

_UPDATES = """
CREATE OR REPLACE PROCEDURE bloat(batches integer) LANGUAGE plpgsql AS $$
DECLARE
    chosen text[];
    ids uuid[];
    many integer := (SELECT count(*) FROM subscriptions);
BEGIN
    FOR batch IN 1..batches LOOP
        chosen := ARRAY(
            SELECT 'sub_' || 1 + floor(random() * many)::integer FROM generate_series(1, 20)
        );
        WITH renewed AS (
            UPDATE subscriptions
            SET current_period_start = now(), current_period_end = now() + interval '1 month',
                next_due_date = now(), amount = 1 + amount % 1000, stripe_as_of_since = now(),
                stripe_as_of = now(), stripe_event_id = 'evt_' || batch, updated_at = now()
            WHERE stripe_subscription_id = ANY(chosen)
            RETURNING id
        )
        SELECT array_agg(id) INTO ids FROM renewed;
        UPDATE subscription_items
        SET current_period_start = now(), current_period_end = now(), updated_at = now()
        WHERE subscription_id = ANY(ids);
        UPDATE invoices
        SET amount_paid = 1 + amount_paid % 1000, stripe_as_of_since = now(), stripe_as_of = now(),
            updated_at = now()
        WHERE stripe_invoice_id = ANY(ARRAY(
            SELECT 'in_' || substr(one, 5) || '_3' FROM unnest(chosen) AS one
        ));
        UPDATE provisioning_work
        SET version = version + 1, wake_at = now(), updated_at = now()
        WHERE subscription_id = ANY(ids[1:2]);
        UPDATE provisioning_work
        SET lease_token = gen_random_uuid(), leased_until = now(), updated_at = now()
        WHERE subscription_id = ANY(ids[1:2]);
        UPDATE provisioning_work
        SET lease_token = NULL, leased_until = NULL, done_version = version, wake_at = NULL,
            updated_at = now()
        WHERE subscription_id = ANY(ids[1:2]);
        COMMIT;
    END LOOP;
END
$$
"""
_SIZES = """
SELECT
    c.relname AS name,
    pg_relation_size(c.oid) AS heap,
    pg_indexes_size(c.oid) AS indexes,
    coalesce(s.n_tup_upd, 0) AS updates,
    coalesce(s.n_tup_hot_upd, 0) AS hot,
    coalesce(s.n_dead_tup, 0) AS dead,
    coalesce(s.autovacuum_count, 0) AS vacuums
FROM pg_class AS c
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE c.relname = ANY($1::text[])
  AND c.relkind = 'r'
"""


async def measure(url: str, updates: int) -> bool:
    """Print what the updates leave; return whether each table is within MOST."""
    conn = await asyncpg.connect(url)
    for setting in _SETTINGS:
        await conn.execute(f"ALTER SYSTEM SET {setting}")
    await conn.execute("SELECT pg_reload_conf()")
    await conn.execute(_UPDATES)
    before = await _sizes(conn)
    await conn.execute(f"CALL bloat({updates // _BATCH})", timeout=7200)
    await conn.execute("SELECT pg_stat_force_next_flush()")
    after = await _sizes(conn)
    await conn.execute("DROP PROCEDURE bloat")
    await conn.close()
    kept = [_print_growth(before[name], after[name]) for name in TABLES]
    return all(kept)


async def _sizes(conn: Connection) -> Mapping[str, asyncpg.Record]:
    return {row["name"]: row for row in await conn.fetch(_SIZES, list(TABLES))}


def _print_growth(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    changed = {name: after[name] - before[name] for name in ("updates", "hot", "vacuums")}
    sizes = [one["heap"] + one["indexes"] for one in (before, after)]
    ratio = sizes[1] / sizes[0]
    print(
        f"{after['name']:<20} {changed['updates']:>9,} updates,"
        f" {changed['hot'] / max(changed['updates'], 1):4.0%} without an index;"
        f" heap {before['heap'] / 1e6:7,.0f} -> {after['heap'] / 1e6:7,.0f} MB,"
        f" indexes {before['indexes'] / 1e6:7,.0f} -> {after['indexes'] / 1e6:7,.0f} MB,"
        f" {ratio:.2f} times; {after['dead']:,} dead rows, vacuumed {changed['vacuums']} times",
        flush=True,
    )
    return ratio <= MOST


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks bloat", description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=1_000_000)
    parser.add_argument("--updates", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keeps the rows for the next time")
    options = parser.parse_args(arguments)
    with (
        kept_or_scratch(options.folder) as folder,
        EmbeddedPostgres(folder / "postgres") as postgres,
    ):
        url = asyncio.run(prepare(postgres, options.subscriptions))
        kept = asyncio.run(measure(url, options.updates))
    sys.exit(0 if kept else 1)
