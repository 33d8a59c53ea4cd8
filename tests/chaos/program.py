"""A process that is killed, frozen and started again, as a process manager would."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mpanel_billing.background import end

RESTART_SECONDS = 0.5


@dataclass
class Program:
    """A command with its environment; what it writes is added to a log file.

    While it is `watched`, it is started again whenever it ends. It has a channel to its manager, as
    under PM2, which tells it to share its port.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    starts: int = 0
    process: asyncio.subprocess.Process | None = None
    watcher: asyncio.Task[None] | None = None
    endings: list[int] = field(default_factory=list)
    channel: socket.socket | None = None

    def watch(self) -> None:
        """Start it, and keep it running."""
        self.watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await self._start()
            assert self.process is not None
            self.endings.append(await self.process.wait())
            await asyncio.sleep(RESTART_SECONDS)

    async def _start(self) -> None:
        if self.channel is not None:
            self.channel.close()
        self.channel, theirs = socket.socketpair()
        with self.log.open("ab") as log, theirs:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                env={
                    "PATH": os.environ["PATH"],
                    "NODE_CHANNEL_FD": str(theirs.fileno()),
                    **self.environment,
                },
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs at the moment."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def kill(self) -> None:
        """Kill it without a chance to clean up; it starts again."""
        self.signal(signal.SIGKILL)

    async def freeze(self, seconds: float) -> None:
        """Stop it in the middle of what it does, and let it go on after so long."""
        frozen = self.process
        self.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            if self.process is frozen:
                self.signal(signal.SIGCONT)

    async def end(self) -> None:
        """Kill it for good."""
        if self.watcher is not None:
            await end(self.watcher)
        self.signal(signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()
