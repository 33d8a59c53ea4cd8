"""Clocks that jump: libfaketime reads from a file how wrong a process has the time."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.test_clock import LIBRARIES


@dataclass(frozen=True)
class Clock:
    """The clock of some processes; it may jump while they run."""

    file: Path

    def set_wrong(self, seconds: int) -> None:
        """Let it be so many seconds ahead, from the next second on."""
        self.file.write_text(f"{seconds:+d}")
        self.file.chmod(0o644)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of a process that has this clock."""
        if not LIBRARIES:
            return {}
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Give it to the processes that are started with our own environment."""
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name in self.environment:
                os.environ.pop(name, None)
