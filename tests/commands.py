"""`mpanel-billing`, as an operator types it."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.forked import begin
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
    return await asyncio.to_thread(_run, words, {**settings, **environment})


def _run(words: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """Send the request, and wait for the exit status."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        server = begin(words, environment, out.fileno(), err.fileno())
        with server, server.makefile() as lines:
            _, status = lines
        out.seek(0)
        err.seek(0)
        return Ended(int(status), out.read().decode(), err.read().decode())


async def run(database_url: str, *words: str, **environment: str) -> tuple[int, str]:
    """Run a command; return its exit status and what it wrote."""
    ended = await run_command(database_url, *words, USER="grace", **environment)
    return ended.status, ended.out + ended.err
