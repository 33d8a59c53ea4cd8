"""What an operator types meanwhile."""

import asyncio
from collections.abc import Mapping

from tests.faults.town import Town
from tests.processes import SERVICE


async def operate(
    town: Town, *arguments: str, status: int = 0, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command, which has to end with the status, and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *SERVICE,
        *arguments,
        env={**town.environment, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == status, output.decode()
    return output.decode()
