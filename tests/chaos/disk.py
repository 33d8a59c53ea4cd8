"""A disk that can be full for a while: a file system in memory, which shrinks and grows."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_TRY_SECONDS = 10


@dataclass(frozen=True)
class Disk:
    """A folder with a size of its own; it takes no more of this machine's memory than it holds."""

    folder: Path
    megabytes: int

    def mount(self) -> None:
        """Make the folder."""
        self.folder.mkdir()
        options = f"size={self.megabytes}m,mode=755"
        _run("mount", "-t", "tmpfs", "-o", options, "chaos", str(self.folder))

    def fill(self) -> None:
        """Let nothing more fit on it; others may write while this looks how much there is."""
        until = time.monotonic() + _TRY_SECONDS
        while True:
            try:
                return self._resize(f"{_used_kilobytes(self.folder)}k")
            except subprocess.CalledProcessError:
                if time.monotonic() > until:
                    raise

    def free(self) -> None:
        """Give it its size again."""
        self._resize(f"{self.megabytes}m")

    def unmount(self) -> None:
        """Give its memory back."""
        subprocess.run(["umount", str(self.folder)], check=False)

    def _resize(self, size: str) -> None:
        _run("mount", "-o", f"remount,size={size}", str(self.folder))


def _used_kilobytes(folder: Path) -> int:
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize // 1024


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
