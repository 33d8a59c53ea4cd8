"""The result of a check, and how the results are shown: as a table and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from mpanel_billing.telemetry.logs import redact
from mpanel_billing.telemetry.quoting import several_lines


class Status(StrEnum):
    """FAILED: the service does not work properly. WARNING: it works, but needs attention."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `advice` says what to do unless it is OK."""

    name: str
    status: Status
    detail: str
    advice: str = ""


_WORDS = {Status.OK: "ok", Status.WARNING: "warning", Status.FAILED: "FAILED"}
_COLOURS = {Status.OK: "32", Status.WARNING: "33", Status.FAILED: "31"}
_WORD_WIDTH = max(map(len, _WORDS.values()))
_LONGEST_NAME = 30
_NARROWEST = 40


def ok(name: str, detail: str) -> Finding:
    """Return an OK finding."""
    return Finding(name, Status.OK, detail)


def warning(name: str, detail: str, advice: str) -> Finding:
    """Return a finding that needs attention."""
    return Finding(name, Status.WARNING, detail, advice)


def failed(name: str, detail: str, advice: str) -> Finding:
    """Return a finding that has to be fixed."""
    return Finding(name, Status.FAILED, detail, advice)


def some(names: list[str], most: int = 5) -> str:
    """List the first few names, and count the rest."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def duration(seconds: float) -> str:
    """Format seconds in a readable unit: 40 s, 12 min, 3 h, 5 days."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def is_well(findings: Sequence[Finding]) -> bool:
    """Return whether nothing has failed; warnings do not count."""
    return all(finding.status is not Status.FAILED for finding in findings)


def clean(finding: Finding) -> Finding:
    """Return it without secrets and control characters, as it may be shown."""
    return replace(
        finding,
        detail=several_lines(redact(finding.detail)),
        advice=several_lines(redact(finding.advice)),
    )


def report_json(findings: Sequence[Finding]) -> dict[str, object]:
    """Return `ok`, and each finding's name, status, detail and advice, without secrets."""
    return {"ok": is_well(findings), "findings": [asdict(clean(f)) for f in findings]}


def report_table(findings: Sequence[Finding], *, width: int, coloured: bool) -> Iterator[str]:
    """Yield the lines of the table; the status is a word as well as a colour."""
    shown = [clean(finding) for finding in findings]
    name_width = min(max((len(finding.name) for finding in shown), default=0), _LONGEST_NAME)
    for finding in shown:
        yield from _lines_of(finding, name_width, width, coloured=coloured)
    yield ""
    yield _summary(shown)


def _lines_of(finding: Finding, name_width: int, width: int, *, coloured: bool) -> Iterator[str]:
    word = f"{_WORDS[finding.status]:<{_WORD_WIDTH}}"
    if coloured:
        word = f"\x1b[{_COLOURS[finding.status]}m{word}\x1b[0m"
    indent = _WORD_WIDTH + name_width + 4
    room = max(width - indent, _NARROWEST)
    lines = textwrap.wrap(finding.detail, room, break_on_hyphens=False) or [""]
    if finding.advice:
        lines += textwrap.wrap(
            finding.advice,
            room,
            initial_indent="-> ",
            subsequent_indent="   ",
            break_on_hyphens=False,
        )
    yield f"{word}  {finding.name:<{name_width}}  {lines[0]}".rstrip()
    for line in lines[1:]:
        yield " " * indent + line


def _summary(findings: Sequence[Finding]) -> str:
    counts = {status: sum(f.status is status for f in findings) for status in Status}
    if not counts[Status.FAILED] and not counts[Status.WARNING]:
        return "All checks passed."
    return f"Failed: {counts[Status.FAILED]}, warnings: {counts[Status.WARNING]}."
