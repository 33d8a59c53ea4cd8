"""The table in docs/sandbox.md of what each client of others can do with the sandbox."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
BEGIN, END = "<!-- peers: make test-sandbox-peers -->", "<!-- end of peers -->"
HEAD = (
    "| client | version | passed | not done yet | left out, and why | outside of Billing |",
    "|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Figures:
    """What a client does: `missing` counts in `total`, `skipped` does not; reasons by name.

    `outside` has the product of what is not of Billing, by name; it is counted apart.
    """

    client: str
    version: str
    passed: int
    total: int
    missing: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)

    def row(self) -> str:
        """Return the client's row of the table."""
        done = f"{self.passed} of {self.total}"
        why = f"{_reasons(self.missing)} | {_reasons(self.skipped)}"
        counted = Counter(self.outside.values())
        apart = ", ".join(f"{product} {count}" for product, count in sorted(counted.items()))
        return f"| {self.client} | {self.version} | {done} | {why} | {apart} |"


def hold(figures: Figures) -> None:
    """Assert that the page has these figures; WRITE_SANDBOX_PEERS=1 writes them."""
    if os.environ.get("WRITE_SANDBOX_PEERS"):
        _write(figures)
    assert figures.row() in _rows(), "WRITE_SANDBOX_PEERS=1 make test-sandbox-peers writes them"


def _reasons(names: Mapping[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in names.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(sorted(of))}: {reason}" for reason, of in by_reason.items())


def _rows() -> list[str]:
    inside = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    return [row for row in inside.strip().splitlines() if row not in HEAD]


def _write(figures: Figures) -> None:
    others = [row for row in _rows() if not row.startswith(f"| {figures.client} |")]
    table = "\n".join([*HEAD, *sorted([*others, figures.row()])])
    pattern = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
    text = PAGE.read_text()
    PAGE.write_text(re.sub(pattern, lambda _: f"{BEGIN}\n{table}\n{END}", text, flags=re.DOTALL))
