"""The versions of what runs here."""

import asyncio
import platform
import sysconfig
from importlib.metadata import version
from pathlib import Path

from mpanel_billing import __version__
from mpanel_billing.doctor.finding import Finding, failed, ok
from mpanel_billing.stripe_gateway.gateway import API_VERSION, SDK_VERSION


async def look_at_versions() -> list[Finding]:
    """Name the versions; the migrations' runner has to be there."""
    names = (
        f"mpanel-billing {__version__}",
        f"Python {platform.python_version()}",
        f"Stripe SDK {SDK_VERSION} (API {API_VERSION})",
        f"aiohttp {version('aiohttp')}",
        f"asyncpg {version('asyncpg')}",
    )
    return [ok("versions", ", ".join(names)), await _look_at_dbmate()]


async def _look_at_dbmate() -> Finding:
    program = Path(sysconfig.get_path("scripts")) / "dbmate"
    try:
        process = await asyncio.create_subprocess_exec(
            program, "--version", stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        return failed("dbmate", f"cannot be run: {error.strerror}", "run `make setup`")
    printed, _ = await process.communicate()
    return ok("dbmate", printed.decode().removeprefix("dbmate version").strip())
