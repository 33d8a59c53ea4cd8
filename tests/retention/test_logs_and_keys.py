"""What is pruned besides events, how, and by which process."""

import json
from collections.abc import Iterator
from typing import Any

from pgqueuer import PgQueuer

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import load_queries
from mpanel_billing.retention.service import count_prunable, prune
from mpanel_billing.worker.jobs import schedule_pruning
from tests.commands import run_command
from tests.inbox import Inbox
from tests.processes import running_worker
from tests.retention.conftest import AGES, Cellar
from tests.waiting import until_true

BATCHES = (
    "prune_usage",
    "prune_meter_events",
    "prune_event_payloads",
    "prune_events",
    "prune_provisioning_log",
    "prune_idempotency_keys",
    "prune_job_log",
    "prune_messages",
)
VALUES = {"keep_days": "90", "since": "'-infinity'"}
TABLES = (
    "stripe_events",
    "idempotency_keys",
    "pgqueuer_log",
    "provisioning_log",
    "billing_messages",
    "billing_usage",
    "billing_meter_events",
)
INDEXES = {
    "stripe_events_received_idx",
    "provisioning_log_created_idx",
    "idempotency_keys_created_idx",
    "pgqueuer_log_created",
    "billing_messages_created_idx",
    "billing_usage_received_idx",
    "billing_meter_events_created_idx",
}


async def put_logs_and_keys(pool: Pool, inbox: Inbox) -> None:
    """Keep a row of each kind on either side of its age."""
    subscription = await inbox.order()
    await pool.execute(
        """INSERT INTO provisioning_log (subscription_id, driver, action, idempotency_key, request,
               outcome, duration_ms, created_at)
           SELECT $1, 'log', 'create', 'k', '{}', 'done', 1, now() - make_interval(days => days)
           FROM unnest(ARRAY[364, 366]) AS days""",
        subscription,
    )
    await pool.execute(
        """INSERT INTO idempotency_keys (key, request_hash, created_at)
           SELECT 'key' || hours, '', now() - make_interval(hours => hours)
           FROM unnest(ARRAY[23, 25]) AS hours"""
    )
    await pool.execute(
        """INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created)
           SELECT days, 'successful', 0, 'provision', now() - make_interval(days => days)
           FROM unnest(ARRAY[6, 8]) AS days"""
    )


async def test_logs_and_keys_go_at_their_age(pool: Pool, inbox: Inbox, cellar: Cellar) -> None:
    await put_logs_and_keys(pool, inbox)
    none = ("event_payloads", "events", "messages", "unpaid_orders", "access_data", "usage")
    due = dict.fromkeys((*none, "meter_events"), 0) | dict.fromkeys(
        ("provisioning_log", "idempotency_keys", "job_log"), 1
    )
    assert await count_prunable(pool, AGES) == due
    assert await prune(pool, AGES) == due
    assert await cellar.count("provisioning_log") == 1
    assert [dict(row) for row in await pool.fetch("SELECT key FROM idempotency_keys")] == [
        {"key": "key23"}
    ]
    assert await cellar.count("pgqueuer_log") == 1


async def test_a_batch_walks_an_index_by_age(pool: Pool, inbox: Inbox, cellar: Cellar) -> None:
    """The plan is made without knowing the age, as in the service."""
    await fill_tables(pool, inbox, cellar)
    async with pool.acquire() as conn:
        for name in BATCHES:
            query = getattr(load_queries("retention"), name)
            values = ", ".join(VALUES[parameter] for parameter in query.parameters)
            await conn.execute(f"PREPARE {name} AS {query.sql}")
            plan = await conn.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ({values})")
            nodes = list(walk(json.loads(plan)[0]["Plan"]))
            kinds = {node["Node Type"] for node in nodes}
            assert INDEXES & {node.get("Index Name") for node in nodes}, name
            assert not kinds & {"Sort", "Bitmap Heap Scan"}, name
            read = {n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"}
            assert not read & set(TABLES), name


async def fill_tables(pool: Pool, inbox: Inbox, cellar: Cellar) -> None:
    await cellar.put_events(500, count=3000)
    await pool.execute(
        """INSERT INTO provisioning_log (subscription_id, driver, action, idempotency_key, request,
               outcome, duration_ms, created_at)
           SELECT $1, 'log', 'create', 'k', '{}', 'done', 1, now() - make_interval(mins => n)
           FROM generate_series(1, 3000) AS n""",
        await inbox.order(),
    )
    await pool.execute(
        """INSERT INTO idempotency_keys (key, request_hash, created_at)
           SELECT 'key' || n, '', now() - make_interval(mins => n)
           FROM generate_series(1, 3000) AS n"""
    )
    await pool.execute(
        """INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created)
           SELECT n, 'successful', 0, 'provision', now() - make_interval(mins => n)
           FROM generate_series(1, 3000) AS n"""
    )
    await pool.execute(
        """INSERT INTO billing_messages (id, type, object_id, transition, livemode, occurred_at,
               data, created_at)
           SELECT 'msg_' || lpad(to_hex(n), 32, '0'), 'invoice.paid', 'in_' || n, 'paid', FALSE,
               now(), '{}', now() - make_interval(mins => n)
           FROM generate_series(1, 3000) AS n"""
    )
    await pool.execute(
        """INSERT INTO billing_usage (id, subscription_id, meter, quantity, used_at, meter_event_id,
               received_at)
           SELECT n, gen_random_uuid(), 'traffic', 1, now(), gen_random_uuid(),
               now() - make_interval(mins => n)
           FROM generate_series(1, 3000) AS n"""
    )
    await pool.execute(
        """INSERT INTO billing_meter_events (subscription_id, meter, stripe_customer_id, livemode,
               value, used_at, state, sent_at, created_at)
           SELECT gen_random_uuid(), 'traffic', 'cus_1', FALSE, 1, now(), 'sent', now(),
               now() - make_interval(mins => n)
           FROM generate_series(1, 3000) AS n"""
    )
    for table in TABLES:
        await pool.execute(f"ANALYZE {table}")


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through a plan."""
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


async def test_the_worker_prunes_every_hour(pool: Pool, cellar: Cellar) -> None:
    await cellar.put_events(500, count=3)
    queue = PgQueuer.from_asyncpg_pool(pool)
    schedule_pruning(queue, pool, AGES)
    [(key, executor)] = queue.sm.registry.items()
    assert (key.entrypoint, key.expression) == ("prune", "17 * * * *")
    await executor.parameters.func(None)
    assert await cellar.count("stripe_events") == 0


async def test_a_worker_that_starts_puts_the_pruning_on_its_clock(
    pool: Pool, database_url: str
) -> None:
    planned = """
        SELECT expression = '17 * * * *' FROM pgqueuer_schedules WHERE entrypoint = 'prune'
    """
    async with running_worker(database_url):
        await until_true(pool, planned)


async def prune_by_command(database_url: str, *words: str, **environment: str) -> str:
    ended = await run_command(database_url, "prune", *words, **environment)
    assert ended.status == 0, ended.err
    return ended.out + ended.err


async def test_the_command_counts_or_prunes_and_is_on_record(
    pool: Pool, database_url: str, cellar: Cellar
) -> None:
    await cellar.put_events(31, count=3)
    counted = await prune_by_command(database_url, "--dry-run", KEEP_EVENT_PAYLOADS_DAYS="30")
    assert "event payloads      kept    30 days             3 would be pruned" in counted
    assert await cellar.count("stripe_events", "payload IS NULL") == 0
    assert await cellar.count("billing_audit_log") == 0
    done = await prune_by_command(database_url, KEEP_EVENT_PAYLOADS_DAYS="30")
    assert "event payloads      kept    30 days             3 pruned" in done
    assert await cellar.count("stripe_events", "payload IS NULL") == 3
    entry = await pool.fetchrow("SELECT action, outcome, details FROM billing_audit_log")
    assert (entry["action"], entry["outcome"]) == ("retention.prune", "done")
    assert entry["details"]["pruned"]["event_payloads"] == 3
