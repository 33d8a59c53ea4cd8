"""docs/reliability.md: one row per fault, written by the test that causes it."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from tests.faults.response_log import ResponseLog

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
WRITE = "WRITE_RELIABILITY"
"""Environment variable: if set, rows are written; else each test checks that its row exists."""

_HEADER = "| fault | failed requests | longest gap | recovery | test |"
_RULE = "|---|---|---|---|---|"


@dataclass(frozen=True)
class ReliabilityDocument:
    """Writes the rows of one test."""

    test: str

    def record(
        self, fault: str, responses: ResponseLog | None, *, recovered: str, case: str | None = None
    ) -> None:
        """Write the test's row, or check that there is one.

        Without responses no client was affected. `case` names one of a test's several rows.
        """
        key = f"`{self.test}[{case}]`" if case else f"`{self.test}`"
        if not os.environ.get(WRITE):
            assert key in rows_of_tests(), f"{DOCUMENT.name} lacks {self.test}: make reliability"
            return
        failed = responses.failures() if responses else "none"
        gap = f"{responses.longest_gap():.1f} s" if responses else "none"
        row = f"| {fault} | {failed} | {gap} | {recovered} | {key} |"
        with DOCUMENT.open("r+") as document:
            fcntl.flock(document, fcntl.LOCK_EX)
            text = _with_row(document.read(), key, row)
            document.seek(0)
            document.write(text)
            document.truncate()


def rows_of_tests() -> set[str]:
    """Return the tests that have rows in the document, in backticks."""
    return {_cells(line)[-1] for line in DOCUMENT.read_text().splitlines() if _is_row(line)}


def _with_row(text: str, key: str, row: str) -> str:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if _is_row(line) and _cells(line)[-1] == key:
            lines[number] = row
            return "\n".join(lines) + "\n"
    start = lines.index(_RULE)
    end = next((n for n in range(start, len(lines)) if not lines[n].startswith("|")), len(lines))
    lines.insert(end, row)
    return "\n".join(lines) + "\n"


def _is_row(line: str) -> bool:
    return line.startswith("|") and line not in {_HEADER, _RULE}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
