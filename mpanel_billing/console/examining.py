"""What the doctor finds, from within the web process; not more often than it is of use."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from mpanel_billing.doctor.ages import SecretAge, read_ages
from mpanel_billing.doctor.examination import DatabaseSide, StripeSide, examine
from mpanel_billing.doctor.exposure import find_exposed
from mpanel_billing.doctor.finding import Finding, clean
from mpanel_billing.doctor.variables import check_variables
from mpanel_billing.http import keys

KEPT = timedelta(seconds=30)
"""An examination asks Stripe a dozen times: whoever loads the page again sees the same."""

_ENV_FILE = Path(".env")


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found, and when."""

    at: datetime
    findings: Sequence[Finding]
    ages: Sequence[SecretAge]


class Examiner:
    """Examines, one request at a time; those that come meanwhile get the same result."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._latest: Examination | None = None
        self._turn = asyncio.Lock()

    async def examine(self, app: web.Application) -> Examination:
        """Return what is found now, or was a moment ago; StripeError for nothing of it."""
        async with self._turn:
            latest = self._latest
            if latest is None or latest.at + KEPT < datetime.now(UTC):
                latest = self._latest = await _examine(app)
        return latest


EXAMINER = web.AppKey("examiner", Examiner)


async def _examine(app: web.Application) -> Examination:
    settings, mirror = app[keys.SETTINGS], app[keys.MIRROR]
    of_settings = await asyncio.to_thread(
        lambda: [*check_variables(settings, _ENV_FILE), *find_exposed(settings, _ENV_FILE)]
    )
    found = await examine(
        DatabaseSide(settings, mirror.pool), StripeSide(settings, mirror.stripe), settings
    )
    ages = await read_ages(mirror.pool, mirror.stripe, _ENV_FILE)
    return Examination(datetime.now(UTC), [clean(one) for one in (*found, *of_settings)], ages)
