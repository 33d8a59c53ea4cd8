"""What the doctor says of one thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """FAILED: the service cannot do its work rightly. WARNING: it can, but look at it."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to do where it is not well."""

    name: str
    status: Status
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Finding:
    """Say that all is well."""
    return Finding(name, Status.OK, detail)


def warning(name: str, detail: str, advice: str) -> Finding:
    """Say what somebody should look at."""
    return Finding(name, Status.WARNING, detail, advice)


def failed(name: str, detail: str, advice: str) -> Finding:
    """Say what has to be mended."""
    return Finding(name, Status.FAILED, detail, advice)


def some(names: list[str], most: int = 5) -> str:
    """Name the first few, and say how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def duration(seconds: float) -> str:
    """Say a time in the unit that fits: 40 s, 12 min, 3 h, 5 days."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
