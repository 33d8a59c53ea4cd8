"""Says at the end of a run what its tests cost: the CPU time of each file, the dearest first.

How long a run takes depends on what else the machine does; what it computes depends on the tests. A
test's time is that of its process and of those that it has started and that have ended. PostgreSQL
works for all tests: its time is one figure, and known on Linux only.
"""

import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.forked import servers
from tests.postgres import server_pid

_LISTED = 12
_WORTH_A_REPORT = 60.0
"""Seconds: shorter runs are those of somebody who looks at a few tests."""

_BEGAN = pytest.StashKey[float]()
_spent: Counter[str] = Counter()
"""Seconds by file."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[_BEGAN] = _seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note on the report what the step cost; xdist sends it along."""
    report = yield
    began, item.stash[_BEGAN] = item.stash[_BEGAN], _seconds()
    report.__dict__["cpu"] = item.stash[_BEGAN] - began
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    noted = vars(report).get("cpu", 0.0)  # not on one that xdist writes for a process that died
    _spent[report.nodeid.partition("::")[0]] += noted


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    total = _spent.total()
    if total < _WORTH_A_REPORT:
        return
    pid = server_pid(config)
    postgres = _seconds_of(pid) if pid else 0.0
    terminalreporter.section("CPU time")
    terminalreporter.line(f"{total:8.1f} s tests, and PostgreSQL {postgres:.1f} s for them")
    for file, seconds in _spent.most_common(_LISTED):
        terminalreporter.line(f"{seconds:8.1f} s {file}")


def _seconds() -> float:
    return sum(os.times()[:4]) + sum(map(_seconds_of, servers))


def _seconds_of(pid: int) -> float:
    """Return the CPU time of a process, and of those children that have ended."""
    try:
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
