"""What people and processes read, at 1,000,000 subscriptions: views, pages of lists, sweeps.

    python -m benchmarks reads [--subscriptions 1000000] [--folder FOLDER]

Makes the rows of tests/mpanel/many_rows.sql, set-based and with the indexes afterwards (6 GB, five
minutes on a quiet machine), then prints for each read the CPU time of PostgreSQL and the pages that
it reads. It exits with 1 if one takes longer than its limit, or reads a table from end to end that
grows with the number of subscriptions. With --folder the rows stay there for the next time.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.many_rows import kept_or_scratch, prepare
from benchmarks.servers import cpu_seconds
from mpanel_billing.database.pool import set_up_connection
from mpanel_billing.database.queries import Connection, all_queries
from mpanel_billing.dev.postgres import EmbeddedPostgres

_FIRST = UUID(int=0)
_RUNS = 5
_LARGE = """
SELECT c.relname
FROM pg_class AS c
WHERE c.relkind = 'r'
  AND c.relnamespace = current_schema()::regnamespace
  AND pg_relation_size(c.oid) > 8 * 1024 * 1024
"""
"""Tables that no read may read from end to end; a smaller one is read in milliseconds."""


@dataclass(frozen=True)
class Read:
    """A statement with its arguments, and how many ms of CPU it may take."""

    name: str
    most_ms: float
    sql: str
    arguments: Sequence[object] = ()
    custom: bool = False
    """Planned for its values, as its repository does."""


@dataclass
class Cost:
    """What a read took: ms of CPU and of wall time, the pages it read, the tables it read whole."""

    cpu: float
    wall: float
    pages: int
    rows: int
    whole: set[str] = field(default_factory=set)


def views(subscription_id: object, customer_id: object, tenant_id: object) -> Iterator[Read]:
    one = "SELECT * FROM billing_overview WHERE subscription_id = $1"
    yield Read("billing_overview of a subscription", 5, one, [subscription_id])
    of_customer = (
        "SELECT o.* FROM subscriptions AS s JOIN billing_overview AS o ON o.subscription_id = s.id"
        " WHERE s.customer_id = $1 AND s.billing_provider = 'stripe'"
    )
    yield Read("billing_overview of a customer", 5, of_customer, [customer_id])
    at = {"before_at": None, "before_id": None, "most": 26}
    yield query("entitlements.list_of_customer", 5, customer_id=customer_id, livemode=True, **at)
    yield query("entitlements.get_of_tenant", 5, tenant_id=tenant_id, livemode=True)
    yield Read("billing_trouble", 50, "SELECT * FROM billing_trouble")
    yield Read("billing_watch", 100, "SELECT * FROM billing_watch")
    yield Read("billing_mrr", 100, "SELECT * FROM billing_mrr")


def query(name: str, most_ms: float, *, custom: bool = False, **params: object) -> Read:
    """Return a named query with its arguments."""
    found = all_queries()[name]
    text = " ".join(str(value) for value in params.values() if value is not None)
    arguments = [params[parameter] for parameter in found.parameters]
    return Read(f"{name} {text}".strip(), most_ms, found.sql, arguments, custom)


def sweeps() -> Iterator[Read]:
    """What the worker runs every minute, and what monitoring and the doctor ask."""
    yield query("provisioning.list_due_work", 20, most=500, now=None)
    yield query("provisioning.list_undone_work", 20, most=500, now=None)
    yield query("provisioning.renew_edited", 20, most=500)
    yield query("refetches.list_due_refetches", 20, most=500)
    yield query("inbox.list_due_events", 20, most=500)
    yield query("reconciliation.list_stopped_runs", 20)
    yield query("joining.list_joinable", 20, most=500)
    yield query("revenue.fold_changes", 20, most=2000)
    yield query("monitoring.read_figures", 50)
    yield query("monitoring.read_trouble", 60)
    yield query("monitoring.has_waiting_jobs", 20, seconds=60)
    yield query("doctor.get_backlog", 20)
    yield query("doctor.get_inbox", 20)
    yield query("doctor.get_latest_event", 20)
    yield query("doctor.count_trouble", 60)


def prunings() -> Iterator[Read]:
    """A batch of each kind that is pruned hourly, and what the command asks before it prunes."""
    aged = {"keep_days": 0, "since": datetime(2000, 1, 1, tzinfo=UTC)}
    yield query("retention.prune_event_payloads", 200, keep_days=0)
    for kind in ("events", "provisioning_log", "idempotency_keys", "job_log", "messages"):
        yield query(f"retention.prune_{kind}", 200, **aged)
    yield query("retention.list_unpaid_orders", 50, keep_days=1)


def lists(places: Mapping[str, Any]) -> Iterator[Read]:
    """The first and the hundredth page of what operators and mPanel's backend list."""
    for status in (None, "applied", "failed", "stale"):
        for before in (None, places["event"]):
            yield query("inbox.list_events", 20, custom=True, status=status, before=before, most=50)
    for before in (2**63 - 1, places["entry"]):
        for target in (None, places["subscription"]):
            yield query(
                "audit.list_entries",
                20,
                custom=True,
                target_id=target and str(target),
                actor=None,
                person=None,
                before=before,
                most=50,
            )
    for after in (_FIRST, places["stuck"]):
        yield query("operations.list_stuck", 20, after=after, most=100)
        yield query("adoptions.list_deleted", 20, after=after, most=100)
    yield query("operations.list_holds", 20)
    yield query("api_keys.list_keys", 20)
    yield query("messages.list_receivers", 20)
    for state, about in ((None, None), ("given_up", None), (None, places["subscription"])):
        named = {"state": state, "receiver": None, "subscription_id": about}
        yield query("messages.list_deliveries", 20, custom=True, **named, most=50)
    yield query("operations.list_timeline", 20, subscription_ids=[places["subscription"]])
    yield from lists_of_customer(places)


def lists_of_customer(places: Mapping[str, Any]) -> Iterator[Read]:
    """The first and a later page of what a customer with thousands of subscriptions has."""
    customer = places["large_customer"]
    for place in ({"at": None, "id": None}, places["subscribed"]):
        span = {"before_at": place["at"], "before_id": place["id"], "most": 26}
        ids = {"customer_id": customer, "livemode": True, "status": None}
        yield query("customer_records.list_subscription_ids", 20, **ids, **span)
    for place in ({"at": None, "id": None}, places["billed"]):
        span = {"before_at": place["at"], "before_id": place["id"], "most": 26}
        yield query("customer_records.list_invoice_ids_of_customer", 20, **ids, **span)
    yield query(
        "customer_records.list_subscriptions",
        20,
        subscription_ids=places["page"],
        livemode=True,
    )


def all_reads(places: Mapping[str, Any]) -> list[Read]:
    """Return what is measured; `places` has the columns of `_PLACES`."""
    return [
        *views(places["subscription"], places["customer"], places["tenant"]),
        *lists(places),
        *sweeps(),
        *prunings(),
    ]


_PLACES = """
WITH large AS (
    SELECT customer_id FROM subscriptions WHERE stripe_subscription_id = 'sub_1'
)
SELECT
    s.id AS subscription,
    s.customer_id AS customer,
    s.tenant_id AS tenant,
    large.customer_id AS large_customer,
    (
        SELECT e.id FROM stripe_events AS e
        ORDER BY e.received_at DESC, e.id DESC OFFSET 4949 LIMIT 1
    ) AS event,
    (
        SELECT a.entry_id FROM billing_audit_entries AS a
        ORDER BY a.entry_id DESC OFFSET 4949 LIMIT 1
    ) AS entry,
    (
        SELECT jsonb_build_object('at', t.created_at AT TIME ZONE 'UTC', 'id', t.id)
        FROM subscriptions AS t WHERE t.customer_id = large.customer_id
        ORDER BY t.created_at DESC, t.id DESC OFFSET 2474 LIMIT 1
    ) AS subscribed,
    (
        SELECT jsonb_build_object('at', i.stripe_created, 'id', i.id)
        FROM invoices AS i WHERE i.customer_id = large.customer_id
        ORDER BY i.stripe_created DESC, i.id DESC OFFSET 2474 LIMIT 1
    ) AS billed,
    ARRAY(
        SELECT t.id FROM subscriptions AS t WHERE t.customer_id = large.customer_id LIMIT 26
    ) AS page,
    (
        SELECT w.subscription_id FROM provisioning_work AS w WHERE w.last_error IS NOT NULL
        ORDER BY w.subscription_id OFFSET 100 LIMIT 1
    ) AS stuck
FROM subscriptions AS s
CROSS JOIN large
WHERE s.stripe_subscription_id = 'sub_9999'
"""
"""A subscription and a customer as most are, one with 3,000, and where hundredth pages begin."""


async def cost_of(conn: Connection, read: Read) -> Cost:
    """Run a read several times, in a transaction that is rolled back."""
    mode = "force_custom_plan" if read.custom else "force_generic_plan"
    await conn.execute(f"SET plan_cache_mode = {mode}")
    pid = conn.get_server_pid()
    transaction = conn.transaction()
    await transaction.start()
    rows = await conn.fetch(read.sql, *read.arguments)
    before, began, runs = cpu_seconds(pid), time.perf_counter(), 0
    while runs < _RUNS or (cpu_seconds(pid) - before < 0.1 and runs < 1000):
        await conn.fetch(read.sql, *read.arguments)
        runs += 1
    cpu, wall = cpu_seconds(pid) - before, time.perf_counter() - began
    pages, whole = await _plan(conn, read)
    await transaction.rollback()
    return Cost(cpu / runs * 1000, wall / runs * 1000, pages, len(rows), whole)


async def _plan(conn: Connection, read: Read) -> tuple[int, set[str]]:
    """Return the pages that it reads, and the large tables that it reads whole."""
    await conn.execute(f"PREPARE asked AS {read.sql}")
    literals = [
        await conn.fetchval("SELECT quote_nullable($1::text)", _text(argument))
        for argument in read.arguments
    ]
    call = f"EXECUTE asked ({', '.join(literals)})" if literals else "EXECUTE asked"
    [row] = await conn.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}")
    await conn.execute("DEALLOCATE asked")
    [explained] = json.loads(row[0])
    plan = explained["Plan"]
    whole = {node["Relation Name"] for node in _nodes(plan) if node["Node Type"] == "Seq Scan"}
    large = {row[0] for row in await conn.fetch(_LARGE)}
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], whole & large


def _text(value: object) -> str | None:
    if isinstance(value, list):
        return "{" + ",".join(map(str, value)) + "}"
    return None if value is None else str(value)


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes of a plan that were executed."""
    if plan.get("Actual Loops") == 0:
        return
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


async def measure(url: str) -> bool:
    """Print what each read costs; return whether all are within their limits."""
    conn = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    await set_up_connection(conn)
    await conn.execute("SET max_parallel_workers_per_gather = 0")
    places = await conn.fetchrow(_PLACES, timeout=600)
    assert places
    named = dict(places)
    for name in ("subscribed", "billed"):
        named[name]["at"] = datetime.fromisoformat(named[name]["at"])
    kept = [await _print_cost(conn, read) for read in all_reads(named)]
    await conn.close()
    return all(kept)


async def _print_cost(conn: Connection, read: Read) -> bool:
    cost = await cost_of(conn, read)
    kept = cost.cpu <= read.most_ms and not cost.whole
    whole = f"  reads {', '.join(sorted(cost.whole))} whole" if cost.whole else ""
    print(
        f"{'ok  ' if kept else 'FAIL'} {read.name[:66]:<66} {cost.rows:>6,} rows"
        f" {cost.pages:>7,} pages, CPU {cost.cpu:7.2f} of {read.most_ms:.0f} ms,"
        f" took {cost.wall:7.2f} ms{whole}",
        flush=True,
    )
    return kept


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks reads", description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keeps the rows for the next time")
    options = parser.parse_args(arguments)
    with (
        kept_or_scratch(options.folder) as folder,
        EmbeddedPostgres(folder / "postgres") as postgres,
    ):
        url = asyncio.run(prepare(postgres, options.subscriptions))
        kept = asyncio.run(measure(url))
    sys.exit(0 if kept else 1)
