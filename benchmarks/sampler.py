"""Samples where this process spends its CPU time: in which part, and in whose code.

Each millisecond of CPU time the kernel sends a signal, and its handler counts where the program is.
What C code does counts for the line that has called it.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_SECONDS = 0.001
_OURS = "/mpanel_billing/"
_THEIRS = ("/stripe_sandbox/", "/benchmarks/")
_LOOP = "/asyncio/events.py"
"""What is below is the program that runs the loop."""
OTHERS = "client and Stripe"


@contextmanager
def sampling() -> Iterator[Counter[tuple[str, str]]]:
    """Count samples during the block, each by part and by whose code it is."""
    counts: Counter[tuple[str, str]] = Counter()

    def sample(_: int, frame: FrameType | None) -> None:
        if frame is not None:
            counts[_part(frame), _whose(frame)] += 1

    before = signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS, _SECONDS)
    try:
        yield counts
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _part(frame: FrameType) -> str:
    """Return the package of ours that has the CPU; what only libraries do has none."""
    found: FrameType | None = frame
    while found is not None and not (path := found.f_code.co_filename).endswith(_LOOP):
        if _OURS in path:
            return path.rpartition(_OURS)[2].partition("/")[0].removesuffix(".py")
        if any(part in path for part in _THEIRS):
            return OTHERS
        found = found.f_back
    return "event loop"


def _whose(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    if _OURS in path:
        return "own code"
    _, found, inside = path.rpartition("/site-packages/")
    name = inside.partition("/")[0] if found else _standard_library(path)
    return f"{name} {frame.f_code.co_name}" if name in {"asyncio", "selectors"} else name


def _standard_library(path: str) -> str:
    parent = Path(path).parent.name
    return Path(path).stem if parent.startswith("python") else parent
