"""While the database is down, a worker's log says so, and little else."""

import asyncio
import logging

import asyncpg
import pytest

from mpanel_billing.worker.outages import REPEAT_SECONDS, OutageLines, brief_outages
from mpanel_billing.worker.process import work
from tests.service import make_settings


def record(error: BaseException | None, *, module: str = "supervisor") -> logging.LogRecord:
    """What PgQueuer logs after an error, or of what it is about to do."""
    level = logging.ERROR if error else logging.INFO
    exc_info = (type(error), error, None) if error else None
    return logging.LogRecord("pgqueuer", level, f"{module}.py", 1, "Error.", (), exc_info)


def test_an_outage_is_logged_once_a_minute() -> None:
    seconds = 0.0
    lines = OutageLines(lambda: seconds)
    told = []
    for _ in range(150):
        told.append(lines.filter(record(ConnectionRefusedError("refused"))))
        seconds += 1
    assert [second for second, is_told in enumerate(told) if is_told] == [0, 60, 120]
    assert REPEAT_SECONDS == 60


def test_it_is_logged_without_a_traceback_but_with_its_reason() -> None:
    told = record(asyncpg.CannotConnectNowError("the database system is starting up"))
    assert OutageLines().filter(told)
    assert (told.levelno, told.exc_info) == (logging.WARNING, None)
    assert told.getMessage().endswith("the database system is starting up")


@pytest.mark.parametrize(
    "other", [record(ValueError("a bug")), record(OSError("a job's"), module="qm")]
)
def test_any_other_error_keeps_its_traceback(other: logging.LogRecord) -> None:
    assert OutageLines().filter(other)
    assert other.exc_info
    assert other.getMessage() == "Error."


async def test_a_worker_without_a_database_says_so_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pgqueuer")
    settings = make_settings(database_url="postgresql://nobody@127.0.0.1:1/none")
    stop = asyncio.Event()
    working = asyncio.create_task(work(settings, stop))
    async with asyncio.timeout(20):
        while not caplog.records:
            await asyncio.wait({working}, timeout=0.05)
    stop.set()
    await working
    assert [line.getMessage()[:23] for line in caplog.records] == ["the database is unavail"]


def test_the_filter_goes_with_the_worker() -> None:
    queue = logging.getLogger("pgqueuer")
    before = list(queue.filters)
    with brief_outages():
        assert len(queue.filters) == len(before) + 1
    assert queue.filters == before
