"""Each await has a limit, or a row of the review that says why it ends."""

import re

import pytest

from mpanel_billing.resources import ROOT
from tests.unbounded_awaits import Unbounded, find_unbounded, in_package

REVIEW = ROOT / "docs" / "decisions" / "0028-every-await-has-a-limit.md"
ROW = re.compile(r"^\| `mpanel_billing/([^`]+)` \| `([^`]+)` \| `([^`]+)` \| \S", re.MULTILINE)


def test_each_await_without_a_limit_is_in_the_review_and_no_other() -> None:
    reviewed = {Unbounded(*row) for row in ROW.findall(REVIEW.read_text())}
    found = set(in_package(ROOT / "mpanel_billing", left_out=("dev/",)))
    assert (sorted(found - reviewed), sorted(reviewed - found)) == ([], [])


@pytest.mark.parametrize(
    "line",
    [
        "await pool.acquire()",
        "await connection.close()",
        "await queue.get()",
        "await process.wait()",
        "await event.wait()",
        "await task",
        "await self.done",
        "await asyncio.wait({task})",
        "x = [await process.communicate()]",
        "async with pool.acquire() as conn: pass",
    ],
)
def test_what_may_last_for_ever_is_found(line: str) -> None:
    [found] = find_unbounded(f"async def f():\n    {line}\n", "m.py")
    assert (found.module, found.function) == ("m.py", "f")


@pytest.mark.parametrize(
    "line",
    [
        "await pool.acquire(timeout=3)",
        "await asyncio.wait({task}, timeout=1)",
        "await asyncio.wait_for(event.wait(), 1)",
        "await client.get(url)",
        "async with asyncio.timeout(1): await event.wait()",
        "async with asyncio.timeout(1), lock: await queue.get()",
        "close()",
    ],
)
def test_what_has_a_limit_is_not(line: str) -> None:
    assert list(find_unbounded(f"async def f():\n    {line}\n", "m.py")) == []
