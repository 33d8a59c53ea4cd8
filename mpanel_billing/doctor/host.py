"""What runs here: the versions, and the clock."""

import platform
from importlib.metadata import version

from mpanel_billing import __version__
from mpanel_billing.database.dbmate import DbmateMissingError, run_dbmate
from mpanel_billing.doctor.finding import Finding, duration, failed, ok, warning
from mpanel_billing.stripe_gateway.gateway import API_VERSION, SDK_VERSION
from mpanel_billing.webhooks.signature import TOLERANCE_SECONDS

FAILED_SECONDS = TOLERANCE_SECONDS / 5
WARNING_SECONDS = 5.0


async def check_versions() -> list[Finding]:
    """List the versions; dbmate must be installed."""
    names = (
        f"mpanel-billing {__version__}",
        f"Python {platform.python_version()}",
        f"Stripe SDK {SDK_VERSION} (API {API_VERSION})",
        f"aiohttp {version('aiohttp')}",
        f"asyncpg {version('asyncpg')}",
    )
    return [ok("versions", ", ".join(names)), await _look_at_dbmate()]


async def _look_at_dbmate() -> Finding:
    try:
        _, printed, _ = await run_dbmate("", "--version")
    except DbmateMissingError:
        return failed("dbmate", "is missing", "install mpanel-billing again")
    except OSError as error:
        return failed("dbmate", f"does not run: {error.strerror}", "install mpanel-billing again")
    return ok("dbmate", printed.removeprefix("dbmate version").strip())


def judge_clock(name: str, ahead: float, whose: str) -> Finding:
    """Judge our clock, which is `ahead` seconds ahead of another."""
    word = "ahead of" if ahead > 0 else "behind"
    if abs(ahead) <= WARNING_SECONDS:
        return ok(name, f"in step with {whose}")
    text = f"{duration(abs(ahead))} {word} {whose}"
    if abs(ahead) <= FAILED_SECONDS:
        return warning(name, text, "enable NTP (timedatectl)")
    advice = f"set the clock: webhooks are rejected if it is off by more than {TOLERANCE_SECONDS} s"
    return failed(name, text, advice)
