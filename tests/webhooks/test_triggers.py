"""Jobs that the database triggers itself are PgQueuer's jobs in every column."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpanel_billing.database.pool import Pool
from mpanel_billing.jobs.queue import enqueue_refetches, enqueue_triggers

WANTED = [("sub_1", 1, 0.0), ("in_é", 2, 2.5), ("sub_1", 1, 0.0)]
_MOMENTS = {"updated", "heartbeat"}


async def _rows(pool: Pool) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    jobs = [dict(row) for row in await pool.fetch("SELECT * FROM pgqueuer ORDER BY id")]
    log = [dict(row) for row in await pool.fetch("SELECT * FROM pgqueuer_log ORDER BY id")]
    ids = {job["id"]: place for place, job in enumerate(jobs)}
    for job in jobs:
        created = job.pop("created")
        assert {job.pop(name) for name in _MOMENTS} == {created}, "all are of the transaction"
        job["execute_after"] -= created
        job["id"] = ids[job["id"]]
    for entry in log:
        entry["job_id"] = ids[entry["job_id"]]
        del entry["id"], entry["created"]
    return {"jobs": jobs, "log": log}


async def test_a_job_of_the_database_has_the_rows_of_pgqueuers_own(pool: Pool) -> None:
    await enqueue_refetches(pool, WANTED)
    theirs = await _rows(pool)
    await pool.execute("TRUNCATE pgqueuer, pgqueuer_log")
    await enqueue_triggers(pool, (), WANTED)
    assert await _rows(pool) == theirs
    assert len(theirs["jobs"]) == len(theirs["log"]) == 2
    await enqueue_triggers(pool, (), WANTED)
    assert await _rows(pool) == theirs
