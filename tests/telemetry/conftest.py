"""The service's processes, sharing one folder for what they count."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mpanel_billing.telemetry.multiprocess import VARIABLE
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.telemetry.monitored_service import MonitoredService


@pytest.fixture
async def monitored(
    database_url: str, sandbox: Sandbox, stripe: SandboxClient, tmp_path: Path
) -> AsyncIterator[MonitoredService]:
    async with AsyncExitStack() as stack:
        environment = {VARIABLE: str(tmp_path / "metrics")}
        yield MonitoredService(database_url, sandbox, stripe, stack, environment)
