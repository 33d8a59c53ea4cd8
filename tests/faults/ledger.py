"""docs/reliability.md: a row for each fault, written by the test that made it."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
WRITE = "WRITE_RELIABILITY"
"""Environment variable: set, the rows are written; else each test only looks for its own."""

_HEADER = "| fault | the client saw | what recovered it, and how fast | test |"
_RULE = "|---|---|---|---|"


@dataclass(frozen=True)
class Ledger:
    """The page of one test."""

    test: str

    def enter(self, fault: str, *, saw: str, recovered: str, case: str | None = None) -> None:
        """Write the test's row; where nothing is to be written, see that there is one.

        `case` tells the rows of a test with several apart.
        """
        key = f"`{self.test}[{case}]`" if case else f"`{self.test}`"
        if not os.environ.get(WRITE):
            assert key in rows_of_tests(), f"{DOCUMENT.name} lacks {self.test}: make reliability"
            return
        row = f"| {fault} | {saw} | {recovered} | {key} |"
        with DOCUMENT.open("r+") as document:
            fcntl.flock(document, fcntl.LOCK_EX)
            text = _with_row(document.read(), key, row)
            document.seek(0)
            document.write(text)
            document.truncate()


def rows_of_tests() -> set[str]:
    """Return the tests that the document has rows of, in backticks."""
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
