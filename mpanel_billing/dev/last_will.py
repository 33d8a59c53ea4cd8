"""Stops what `dev` has started if `dev` is killed: by SIGKILL it cannot do so itself.

A process of its own waits for the end of its input, which comes however `dev` ends. PostgreSQL is
among what it stops; as a daemon it is nobody's child, so no signal of the kernel would reach it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_END = "end"
_STOP_SECONDS = 11.0
"""As for a child that `dev` stops itself."""
_LOOK_SECONDS = 0.05


class LastWill:
    """The waiting process, and what it has been told to stop."""

    def __init__(self, postgres: Path, *, thrown_away: Path | None) -> None:
        """Start it: `postgres` is a data directory, `thrown_away` a folder to remove at the end."""
        self._process = subprocess.Popen(  # noqa: S603 - our own program, our own arguments
            [sys.executable, "-m", __name__, postgres, *([thrown_away] if thrown_away else [])],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is not for it
            text=True,
        )

    def add(self, pid: int) -> None:
        """Have that process stopped, too."""
        self._say(str(pid))

    def revoke(self) -> None:
        """End it: everything has been stopped."""
        self._say(_END)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)

    def _say(self, line: str) -> None:
        assert self._process.stdin  # noqa: S101 - it was started with a pipe
        with suppress(BrokenPipeError):  # someone has killed it
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()


def main(postgres: Path, thrown_away: Path | None) -> None:
    """Read pids line by line; at the end of the input stop those processes and the server."""
    pids: list[int] = []
    for line in sys.stdin:
        if line.strip() == _END:
            return
        pids.append(int(line))
    # Imported here because it takes a while, and mostly is not needed.
    from mpanel_billing.dev.postgres import EmbeddedPostgres  # noqa: PLC0415

    _stop(pids)
    EmbeddedPostgres(postgres).stop()
    if thrown_away:
        shutil.rmtree(thrown_away, ignore_errors=True)


def _stop(pids: Iterable[int]) -> None:
    remaining = [pid for pid in pids if _signal(pid, signal.SIGTERM)]
    deadline = time.monotonic() + _STOP_SECONDS
    while remaining := [pid for pid in remaining if runs(pid)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)  # they are not our children: nothing tells that they have ended
    for pid in remaining:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, signum: int) -> bool:
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):  # the number of another one now
        return False
    return True


def runs(pid: int) -> bool:
    """Return whether it lives; a zombie, which some containers never reap, does not."""
    if not _signal(pid, 0):
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return not Path("/proc/self").exists()
    return not stat.rpartition(") ")[2].startswith("Z")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None)
