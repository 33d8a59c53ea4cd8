"""The processes that `dev` starts, and their logs on one screen."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn

from mpanel_billing.errors import BillingError

_STOP_SECONDS = 11.0
"""A little more than the 10 s that our processes take to stop at most."""

_NAME_WIDTH = 8
_COLOURS = {"api": 36, "worker": 35, "sandbox": 33}
_PLAIN_COLOUR = 90


class ChildFailedError(BillingError):
    """A process ended unexpectedly or with an error."""

    code = "child_failed"


class Children:
    """Processes of our command line, whose output is shown with their names.

    `on_start` is called with the pid of each.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Takes what is added to the environment of all of them."""
        self.on_start: Callable[[int], object] | None = None
        self._environment = {**os.environ, **environment}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._failure: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()

    async def start(self, name: str, *command: str) -> None:
        """Start `mpanel-billing <command>`, which runs until it is stopped."""
        process = await self._spawn(*command)
        self._processes[name] = process
        self._watchers[name] = asyncio.create_task(self._watch(name, process))

    async def run(self, name: str, *command: str) -> None:
        """Run `mpanel-billing <command>` to its end; ChildFailedError if it fails."""
        process = await self._spawn(*command)
        try:
            await _relay(name, process)
            status = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        if status != 0:
            raise ChildFailedError(f"{' '.join(command)} {_describe_end(status)}")

    async def failure(self) -> NoReturn:
        """Wait until a started process ends unasked, then raise ChildFailedError."""
        await asyncio.shield(self._failure)
        raise AssertionError  # the future only ever has an exception

    async def stop(self, *names: str) -> None:
        """Stop those that run and wait for their end; kills what does not react."""
        await asyncio.gather(*(self._stop(name) for name in names if name in self._processes))

    async def _stop(self, name: str) -> None:
        process = self._processes.pop(name)
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            show(name, f"did not stop within {_STOP_SECONDS:.0f} s and is killed")
            process.kill()
        await self._watchers.pop(name)

    async def _spawn(self, *command: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mpanel_billing",
            *command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C is for us: we stop them in the right order.
            start_new_session=True,
        )
        if self.on_start:
            self.on_start(process.pid)
        return process

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        await _relay(name, process)
        status = await process.wait()
        if name in self._processes and not self._failure.done():
            message = f"{name} {_describe_end(status)}; its log is above"
            self._failure.set_exception(ChildFailedError(message))
            self._failure.exception()  # retrieved, even if nothing awaits it any more


def show(name: str, line: str) -> None:
    """Write a line to the screen under a name."""
    label = f"{name:{_NAME_WIDTH}}|"
    if sys.stdout.isatty():
        label = f"\x1b[{_COLOURS.get(name, _PLAIN_COLOUR)}m{label}\x1b[0m"
    with suppress(OSError):  # the terminal was closed
        sys.stdout.write(f"{label} {line}\n")
        sys.stdout.flush()


async def _relay(name: str, process: asyncio.subprocess.Process) -> None:
    """Show what the process writes, line by line, until it closes its output."""
    assert process.stdout  # noqa: S101 - it was started with a pipe
    rest = b""
    while chunk := await process.stdout.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            show(name, line.decode(errors="replace"))
    if rest:
        show(name, rest.decode(errors="replace"))


def _describe_end(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with exit code {status}"
