"""The queue wakes workers when there is a job to take, and only then."""

import asyncio

from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.jobs.queue import enqueue_refetches

END = "DELETE FROM pgqueuer WHERE payload = convert_to($1, 'UTF8')"


class Wakes:
    """Counts the notifications of the queue."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    async def count(self, *, enqueued: dict[str, float] | None = None, ended: str = "") -> int:
        """Enqueue jobs with their delays, or end one; return how often a worker is woken."""
        async with self._pool.acquire() as conn:
            for channel in ("ch_pgqueuer", "that_is_all"):
                await conn.add_listener(channel, self._hear)
            async with transaction(self._pool) as other:
                requests = [(id_, 1, delay) for id_, delay in (enqueued or {}).items()]
                await enqueue_refetches(other, requests)
                if ended:
                    await other.execute(END, ended)
            await self._pool.execute("NOTIFY that_is_all")
            heard = 0
            async with asyncio.timeout(30):
                while await self._heard.get() != "that_is_all":
                    heard += 1
            for channel in ("ch_pgqueuer", "that_is_all"):
                await conn.remove_listener(channel, self._hear)
            return heard

    def _hear(self, _: object, __: object, channel: str, ___: object) -> None:
        self._heard.put_nowait(channel)


async def test_jobs_that_are_due_wake_the_workers_once_for_a_transaction(pool: Pool) -> None:
    assert await Wakes(pool).count(enqueued={"sub_1": 0, "sub_2": 0}) == 1


async def test_a_job_that_is_due_later_wakes_nobody(pool: Pool) -> None:
    assert await Wakes(pool).count(enqueued={"sub_1": 2}) == 0


async def test_a_job_that_is_queued_already_wakes_nobody(pool: Pool) -> None:
    wakes = Wakes(pool)
    await wakes.count(enqueued={"sub_1": 0})
    assert await wakes.count(enqueued={"sub_1": 0}) == 0


async def test_a_job_that_ends_wakes_the_workers_if_another_waits(pool: Pool) -> None:
    wakes = Wakes(pool)
    await wakes.count(enqueued={"sub_1": 0, "sub_2": 0, "sub_3": 60})
    assert await wakes.count(ended="sub_1") == 1
    assert await wakes.count(ended="sub_2") == 0
