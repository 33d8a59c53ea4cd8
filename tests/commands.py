"""`mpanel-billing`, as an operator types it."""

import asyncio
import os
from dataclasses import dataclass

from tests.processes import SERVICE, service_environment


@dataclass(frozen=True)
class Ended:
    """The exit status of a command, and what it wrote."""

    status: int
    out: str
    err: str


async def run_command(
    database_url: str, *words: str, stripe_url: str = "http://127.0.0.1:1", **environment: str
) -> Ended:
    """Run a command to its end."""
    settings = service_environment(database_url, stripe_url)
    process = await asyncio.create_subprocess_exec(
        *SERVICE,
        *words,
        env={"PATH": os.environ["PATH"], **settings, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())
