"""Programs that begin as forks of a process that has loaded the service: tests/command_server.py.

They are processes of their own, with the arguments, the environment and the files of one that is
started. Only the interpreter does not start again: what concerns it needs a real start.
"""

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Mapping, Sequence
from functools import cache
from pathlib import Path

servers: list[int] = []
"""The pid of what begins this test process's commands, once there was one."""

_BASE = {"PATH": os.environ["PATH"]}


def begin(
    words: Sequence[str],
    environment: Mapping[str, str],
    out: int,
    err: int,
    folder: Path | None = None,
) -> socket.socket:
    """Begin a command of `mpanel-billing`; the socket has its pid and then its exit status."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(_server())
    request = {
        "words": words,
        "environment": {**_BASE, **environment},
        "folder": str(folder or Path.cwd()),
    }
    socket.send_fds(server, [json.dumps(request).encode()], [out, err])
    return server


class Forked:
    """A running command, with what asyncio's Process has of these names."""

    def __init__(self, pid: int, ending: Awaitable[bytes], stderr: asyncio.StreamReader) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stderr = stderr
        self._ending = asyncio.create_task(self._end(ending))

    async def _end(self, ending: Awaitable[bytes]) -> None:
        self.returncode = int(await ending)

    async def wait(self) -> int:
        await asyncio.shield(self._ending)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def start_forked(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path | None = None,
    read_all: bool = False,
) -> Forked:
    """Start a command whose stderr is read; its stdout is this process's, or read with it."""
    ours, theirs = os.pipe()
    try:
        out = theirs if read_all else 1
        server = await asyncio.to_thread(begin, words, environment, out, theirs, folder)
    finally:
        os.close(theirs)
    stderr, loop = asyncio.StreamReader(), asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stderr), os.fdopen(ours))
    lines, writer = await asyncio.open_unix_connection(sock=server)

    async def ending() -> bytes:
        status = await lines.readline()
        writer.close()
        return status

    return Forked(int(await lines.readline()), ending(), stderr)


@cache
def _server() -> str:
    """Start the server of this test process, and return the path of its socket."""
    folder = tempfile.TemporaryDirectory(prefix="mpb-commands-")
    path = str(Path(folder.name) / "socket")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.command_server", path], env=_BASE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    servers.append(process.pid)

    def stop() -> None:
        process.terminate()
        process.wait()
        folder.cleanup()

    atexit.register(stop)
    return path
