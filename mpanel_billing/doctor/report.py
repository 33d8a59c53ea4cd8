"""Findings as a table for people, and as JSON for scripts."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from mpanel_billing.doctor.finding import Finding, Status
from mpanel_billing.telemetry.logs import redact

_WORDS = {Status.OK: "ok", Status.WARNING: "warning", Status.FAILED: "FAILED"}
_COLOURS = {Status.OK: "32", Status.WARNING: "33", Status.FAILED: "31"}
_WORD_WIDTH = max(map(len, _WORDS.values()))
_LONGEST_NAME = 30
_NARROWEST = 40


def is_well(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing has failed; warnings do not count."""
    return all(finding.status is not Status.FAILED for finding in findings)


def report_json(findings: Sequence[Finding]) -> dict[str, object]:
    """Return `ok`, and each finding with name, status, detail and advice; no secret is in it."""
    return {"ok": is_well(findings), "findings": [asdict(_clean(f)) for f in findings]}


def report_table(findings: Sequence[Finding], *, width: int, coloured: bool) -> Iterator[str]:
    """Give the lines of the table, as wide as the terminal; colour never says it alone."""
    clean = [_clean(finding) for finding in findings]
    name_width = min(max((len(finding.name) for finding in clean), default=0), _LONGEST_NAME)
    for finding in clean:
        yield from _lines_of(finding, name_width, width, coloured=coloured)
    yield ""
    yield _summary(clean)


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
        return "All is well."
    return f"Failed: {counts[Status.FAILED]}, warnings: {counts[Status.WARNING]}."


def _clean(finding: Finding) -> Finding:
    return replace(finding, detail=redact(finding.detail), advice=redact(finding.advice))
