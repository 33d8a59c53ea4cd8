"""What each process needs to be allowed: the needs of all that it can run."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.types import QueueManagerId

from mpanel_billing.database import repository
from mpanel_billing.database.privileges import Need, Process, merged
from mpanel_billing.database.queries import Connection, all_queries
from mpanel_billing.dev.call_graph import queries_of
from mpanel_billing.dev.parse_trees import PRINTING, Schema, examine, needs_of_routine

OF_OTHER_ROLES = frozenset({"audit.prune_entries"})
"""Queries that run as the role of AUDIT_DATABASE_URL."""


class _Followed(NamedTuple):
    """What else a privilege on a table needs: sequences of its defaults, functions of triggers."""

    sequences: Mapping[str, Sequence[str]]
    triggers: Mapping[str, Sequence[str]]


async def derive_needs(url: str) -> dict[Process, frozenset[Need]]:
    """Return what each process needs on this migrated database; UnclearNeedError as it says."""
    connection = await asyncpg.connect(url, server_settings=PRINTING)
    try:
        schema, followed = await _read_schema(connection)
        derived = {}
        for process in Process:
            needs: set[Need] = set()
            for statement in _statements_of(process):
                needs |= await examine(connection, schema, statement)
            derived[process] = _completed(needs, schema, followed)
        return derived
    finally:
        await connection.close()


def queries_of_no_process() -> set[str]:
    """Return the queries that only migrations and tests run."""
    return all_queries().keys() - {name for each in Process for name in queries_of(each)}


def _statements_of(process: Process) -> Iterator[str]:
    named = all_queries()
    for name in sorted(queries_of(process) - OF_OTHER_ROLES):
        yield named[name].sql
    yield from _queue_statements(process)


def _queue_statements(process: Process) -> Iterator[str]:
    """Yield PgQueuer's statements: every process enqueues, a worker takes jobs and schedules."""
    queue, scheduler = QueryQueueBuilder(), QuerySchedulerBuilder()
    yield queue.build_enqueue_query("skip")
    if process is not Process.WORKER:
        return
    yield queue.build_dequeue_query(
        batch_size=1,
        entrypoints=[],
        concurrency_limits=[],
        queue_manager_id=QueueManagerId(UUID(int=0)),
        global_concurrency_limit=1,
        heartbeat_timeout=timedelta(seconds=1),
    ).sql
    yield queue.build_has_queued_work()
    yield queue.build_has_eligible_queued_work()
    yield queue.build_next_deferred_eta_query()
    yield queue.build_log_job_query()
    yield queue.build_retry_job_query()
    yield queue.build_update_heartbeat_query()
    yield queue.build_aggregate_log_data_to_statistics_query(advisory_lock=True)
    yield scheduler.build_insert_schedule_query()
    yield scheduler.build_fetch_schedule_query()
    yield scheduler.build_set_schedule_queued_query()
    yield scheduler.build_update_schedule_heartbeat()
    yield scheduler.build_delete_schedule_query()


def _completed(needs: set[Need], schema: Schema, followed: _Followed) -> frozenset[Need]:
    """Add what follows from writing; leave out columns that were to stand for any."""
    written = {need.object for need in needs if need.privilege in {"INSERT", "UPDATE", "DELETE"}}
    for table in written:
        for routine in followed.triggers.get(table, ()):
            needs |= set(needs_of_routine(schema, routine))
    inserted = {need.object for need in needs if need.privilege == "INSERT"}
    sequences = {name for table in inserted for name in followed.sequences.get(table, ())}
    return merged(needs | {Need("USAGE", name) for name in sequences})


async def _read_schema(conn: Connection) -> tuple[Schema, _Followed]:
    tables: dict[int, str] = {}
    columns: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for row in await repository.list_columns(conn):
        tables[row["table_oid"]] = row["table_name"]
        columns[row["table_name"]][row["number"]] = row["column_name"]
    sequences: defaultdict[str, list[str]] = defaultdict(list)
    for row in await repository.list_sequences(conn):
        sequences[row["table_name"]].append(row["sequence_name"])
    triggers: defaultdict[str, list[str]] = defaultdict(list)
    routines = await repository.list_routines(conn)
    for row in routines:
        for table in row["triggered_by"]:
            triggers[table].append(row["name"])
    names = {row["routine_oid"]: row["name"] for row in routines}
    bodies = {row["name"]: row["body"] for row in routines}
    return Schema(tables, columns, names, bodies), _Followed(sequences, triggers)
