"""A database with many subscriptions and all that hangs on them."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from benchmarks.servers import scratch_folder
from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.queries import Connection
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.resources import ROOT
from mpanel_billing.revenue.repository import fold_cash, fold_movements, forget_movements

SETTINGS = (
    "shared_buffers = '4GB'",
    "maintenance_work_mem = '512MB'",
    "max_wal_size = '4GB'",
    "synchronous_commit = 'off'",
)
_ROWS = ROOT / "tests" / "mpanel" / "many_rows.sql"
_PEOPLE = ROOT / "benchmarks" / "people.sql"
_PASTS = ROOT / "benchmarks" / "pasts.sql"
_PER_TROUBLED = 50_000
_FOLDED = 10_000
_MOST_LEFT_OUT = 20
"""Of those that many_rows.sql has in trouble one in 20 stays, from 1,000,000 on; of fewer, more."""


_SUSPEND_INDEXES = """
UPDATE pg_index AS i
SET indisready = FALSE, indisvalid = FALSE
FROM pg_class AS t
WHERE t.oid = i.indrelid
  AND t.relnamespace = current_schema()::regnamespace
  AND t.relname !~ 'pgqueuer'
RETURNING t.relname AS table
"""
"""What a failed CREATE INDEX CONCURRENTLY leaves behind: REINDEX completes it."""
_REVENUE = """
TRUNCATE billing_revenue, billing_revenue_sums;
INSERT INTO billing_revenue (
    subscription_id, livemode, currency, kind, stripe_id, customer_id, amount, taken_off, ends_at,
    changes_at
)
SELECT s.id, r.*
FROM subscriptions AS s
CROSS JOIN LATERAL billing_subscription_revenue_v2(s.id) AS r;
INSERT INTO billing_revenue_sums (
    livemode, currency, kind, stripe_id, subscriptions, customers, amount, taken_off
)
SELECT livemode, currency, kind, stripe_id, count(*), count(DISTINCT customer_id), sum(amount),
    sum(taken_off)
FROM billing_revenue
GROUP BY livemode, currency, kind, stripe_id;
INSERT INTO billing_mrr_ledger (subscription_id, currency, at, livemode, amount, change)
SELECT r.subscription_id, r.currency, s.created_at, r.livemode, r.amount, r.amount
FROM billing_revenue AS r
JOIN subscriptions AS s
    ON s.id = r.subscription_id
WHERE r.kind = 'all'
  AND r.amount <> 0
  -- those that the service has sold are in it: NOT EXISTS would look for each in what this inserts
  AND s.id NOT IN (SELECT subscription_id FROM billing_mrr_ledger)
"""
_AUDIT = """
INSERT INTO billing_audit_entries (actor, action, target_type, target_id, outcome)
SELECT 'cli:ada@host', 'subscription.retry', 'subscription', id::text, 'done'
FROM subscriptions
LIMIT 20000
"""
_LARGE_CUSTOMER = """
UPDATE subscriptions
SET customer_id = (SELECT customer_id FROM subscriptions WHERE stripe_subscription_id = 'sub_1')
WHERE stripe_subscription_id IN (
    SELECT 'sub_' || n
    FROM (SELECT current_setting('billing.subscriptions')::integer) AS made (most)
    CROSS JOIN generate_series(1, made.most, greatest(10, made.most / 3000)) AS n
);
UPDATE invoices AS i
SET customer_id = s.customer_id
FROM subscriptions AS s
WHERE s.id = i.subscription_id
  AND s.customer_id = (SELECT customer_id FROM subscriptions WHERE stripe_subscription_id = 'sub_1')
"""

_ACCOUNTS = """
INSERT INTO users (email, password_hash, email_verified)
SELECT 'account-' || n || '@example.com', 'x', TRUE
FROM generate_series(1, current_setting('billing.subscriptions')::integer / 10) AS n;
INSERT INTO billing_noted_users (user_id)
SELECT id FROM users LIMIT 1000
"""
"""Of all verified accounts, those of the last hour."""


@contextmanager
def kept_or_scratch(kept: Path | None) -> Iterator[Path]:
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with scratch_folder() as folder:
        yield folder


async def prepare(
    postgres: EmbeddedPostgres, subscriptions: int, *, seed: int | None = None
) -> str:
    """Return the URL of a database with the rows, which may be there from the last time.

    With a seed they are people, in Stripe's test mode; see `fill`.
    """
    name = f"reads_{subscriptions}" if seed is None else f"people_{subscriptions}_{seed}"
    url = postgres.url(name)
    if not postgres.has_database(name):
        postgres.create_database(name)
        await migrate(url)
        conn = await asyncpg.connect(url)
        for setting in SETTINGS:
            await conn.execute(f"ALTER SYSTEM SET {setting}")
        await fill(conn, subscriptions, seed=seed)
        await conn.close()
    postgres.stop()
    postgres.start()
    return url


@asynccontextmanager
async def without_indexes(conn: Connection) -> AsyncIterator[None]:
    """During the block rows get into no index, not even of a key; at its end all are made."""
    tables = {row["table"] for row in await conn.fetch(_SUSPEND_INDEXES)}
    yield
    await conn.execute("SET maintenance_work_mem = '2GB'")
    for table in sorted(tables):
        await run(conn, f"REINDEX TABLE {table}")


async def fill(conn: Connection, subscriptions: int, *, seed: int | None = None) -> None:
    """Make the rows without triggers, and all indexes after most of them.

    With a seed they are people with names, cards, pasts and further faults, which the seed chooses.
    """
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(f"SET billing.livemode = {'on' if seed is None else 'off'}")
    one_in = min(_MOST_LEFT_OUT, max(1, subscriptions // _PER_TROUBLED))
    await conn.execute(f"SET billing.one_in_trouble = {one_in}")
    async with without_indexes(conn):
        await run_script(conn, _ROWS.read_text(), subscriptions)
        if seed is not None:
            await conn.execute(f"SET billing.seed = {seed}")
            await run_script(conn, _PEOPLE.read_text(), subscriptions)
    for statement in (
        *_LARGE_CUSTOMER.split(";\n"),
        *_REVENUE.split(";"),
        _AUDIT,
        *_ACCOUNTS.split(";\n"),
    ):
        await run(conn, statement)
    if seed is not None:
        await run_script(conn, _PASTS.read_text(), subscriptions)
    await conn.execute("DROP TABLE made")
    await forget_movements(conn)  # no trigger has noted these rows
    while (await fold_movements(conn, _FOLDED))[1]:
        pass
    today = datetime.now(UTC).date()
    await fold_cash(conn, today - timedelta(days=365), today - timedelta(days=3), _FOLDED)
    await run(conn, "VACUUM ANALYZE")


async def run_script(conn: Connection, text: str, subscriptions: int) -> None:
    """Run statements that read how many subscriptions to make from a setting."""
    await conn.execute(f"SET billing.subscriptions = {subscriptions}")
    for statement in text.rstrip().removesuffix(";").split(";\n"):
        await run(conn, statement)


async def run(conn: Connection, statement: str) -> None:
    """Run a statement; print how long it took, if that is more than a second."""
    began = time.perf_counter()
    await conn.execute(statement, timeout=3600)
    took, text = time.perf_counter() - began, " ".join(statement.split())
    if took > 1:
        print(f"{took:6.1f} s  {text[:80]}", flush=True)
