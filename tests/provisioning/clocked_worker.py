"""A worker process whose clock a test moves: `python -m tests.provisioning.clocked_worker`."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mpanel_billing.settings import load_settings
from mpanel_billing.telemetry.logs import configure_logging
from mpanel_billing.worker.process import run_worker
from tests.provisioning.harness import ManualClock

CLOCK_FILE = "CLOCK_FILE"


class ShiftedClock(ManualClock):
    """The real time and a shift, which processes share through a file: its seconds."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def moment(self) -> datetime:
        shift = float(self._file.read_text()) if self._file.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=shift)

    @moment.setter
    def moment(self, moment: datetime) -> None:
        shift = moment - datetime.now(UTC)
        new = self._file.with_suffix(".new")
        new.write_text(str(shift.total_seconds()))
        new.replace(self._file)


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings)
    asyncio.run(run_worker(settings, ShiftedClock(Path(os.environ[CLOCK_FILE]))))
