"""One scrape for all processes of a machine.

Two web processes share a port, so a scrape reaches either. With PROMETHEUS_MULTIPROC_DIR,
prometheus_client keeps each process's values in files of that folder, and any process can read all
of them. This module adds what the library lacks: processes come and go, and the counters of dead
ones must stay while their gauges go. Why: docs/decisions/0010-metrics-of-several-processes.md.
"""

import fcntl
import os
import struct
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prometheus_client import Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from mpanel_billing.errors import SettingsError

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_DEAD = "gone"
"""In the name of a file, in place of the process: the sums of all dead processes."""

_ADDED_UP = ("counter", "histogram")
_RESERVED = {"counter": 256 * 1024, "histogram": 1024 * 1024, "gauge_livesum": 64 * 1024}
"""Bytes of each file, allocated in advance: writing to a mapped file that cannot grow, on a full
disk, kills the process (SIGBUS). All series of all routes need less than half."""

_held: list[IO[bytes]] = []


class SharedCollector(Collector):
    """Reads the values of all processes that use the folder, dead ones included."""

    def __init__(self, folder: Path) -> None:
        """Read the folder at each scrape."""
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Sum the values; gauges of live processes only."""
        with _locked(self._folder, fcntl.LOCK_SH):
            dead = set(_list_dead(self._folder))
            files = [
                str(path)
                for path in self._folder.glob("*.db")
                if not (path.name.startswith("gauge") and _process_of(path) in dead)
            ]
            return MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call,no-any-return]


def shared_folder() -> Path | None:
    """Return the folder that the processes share; None if each counts for itself."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder else None


def join_processes() -> None:
    """Keep this process's values in the shared folder, if there is one.

    Call this before the first metric is created. SettingsError if the folder cannot be used.
    """
    folder = shared_folder()
    if folder is None or _held:
        return
    process = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"  # pids repeat after a reboot
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, fcntl.LOCK_EX):
            _merge_dead(folder)
            _held.append(_hold(folder / f"{process}.alive"))
            for kind in _RESERVED:
                _reserve(folder / f"{kind}_{process}.db", kind)
    except OSError as error:
        message = f"{VARIABLE}: {folder} cannot be used: {error.strerror}"
        raise SettingsError(message) from error
    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]


def _merge_dead(folder: Path) -> None:
    """Add the values of dead processes to one file of each kind, and remove their files."""
    for process in _list_dead(folder):
        for kind in _ADDED_UP:
            total = folder / f"{kind}_{_DEAD}.db"
            if not total.exists():
                _reserve(total, kind)
            _add_up(folder / f"{kind}_{process}.db", total)
        for path in folder.glob(f"*_{process}.db"):
            path.unlink()
        (folder / f"{process}.alive").unlink()


def _add_up(source: Path, total: Path) -> None:
    """Add the values of one file to another; skip a file that a crash has corrupted."""
    try:
        counted = _read(source)
    except (OSError, RuntimeError, ValueError, struct.error):
        return
    sums = MmapedDict(str(total))  # type: ignore[no-untyped-call]
    for key, value in counted.items():
        before, _ = sums.read_value(key)  # type: ignore[no-untyped-call]
        sums.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
    sums.close()  # type: ignore[no-untyped-call]


def _reserve(path: Path, kind: str) -> None:
    path.write_bytes(bytes(_RESERVED[kind]))


def _read(path: Path) -> dict[str, float]:
    counted: defaultdict[str, float] = defaultdict(float)
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
        counted[key] += value
    return counted


def _list_dead(folder: Path) -> Iterator[str]:
    """Yield the processes whose files are here but whose lock is free."""
    for mark in folder.glob("*.alive"):
        with mark.open("rb") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
        yield mark.stem


def _process_of(path: Path) -> str:
    return path.stem.rpartition("_")[2]


def _hold(mark: Path) -> IO[bytes]:
    """Mark this process as alive by a lock, which ends with the process however it dies."""
    opened = mark.open("wb")
    fcntl.flock(opened, fcntl.LOCK_EX)
    return opened


@contextmanager
def _locked(folder: Path, mode: int) -> Iterator[None]:
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, mode)
        yield
