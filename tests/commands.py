"""`mpanel-billing`, as an operator types it."""

import asyncio
import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.processes import service_environment


@dataclass(frozen=True)
class Ended:
    """The exit status of a command, and what it wrote."""

    status: int
    out: str
    err: str


async def run_command(
    database_url: str, *words: str, stripe_url: str = "http://127.0.0.1:1", **environment: str
) -> Ended:
    """Run a command to its end, in a process of its own."""
    settings = service_environment(database_url, stripe_url)
    return await asyncio.to_thread(
        _run, {"words": words, "environment": {**_BASE, **settings, **environment}}
    )


_BASE = {"PATH": os.environ["PATH"]}


def _run(request: dict[str, object]) -> Ended:
    """Send the request, and wait for the exit status."""
    with (
        socket.socket(socket.AF_UNIX) as server,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        server.connect(_server())
        body = json.dumps(request).encode()
        socket.send_fds(server, [body], [out.fileno(), err.fileno()])
        status = int(server.recv(16))
        out.seek(0)
        err.seek(0)
        return Ended(status, out.read().decode(), err.read().decode())


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

    def stop() -> None:
        process.terminate()
        process.wait()
        folder.cleanup()

    atexit.register(stop)
    return path
