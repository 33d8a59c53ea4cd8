"""What becomes of a job that could not be done."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from pgqueuer import Job, RetryRequested

from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.jobs.queue import PROVISION
from mpanel_billing.worker import jobs
from mpanel_billing.worker.stall import Progress
from tests.provisioning.conftest import ProvisioningSystem

Run = Callable[[Job], Awaitable[None]]


class Entrypoints:
    """Takes what is registered at a queue."""

    def __init__(self) -> None:
        self.jobs: dict[str, Run] = {}

    def entrypoint(self, name: str) -> Callable[[Run], Run]:
        return lambda run: self.jobs.setdefault(name, run)

    def schedule(self, *_: str) -> Callable[[Any], Any]:
        return lambda run: run


async def test_a_job_that_finds_the_database_unavailable_is_tried_again(
    system: ProvisioningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseUnavailableError("The database is temporarily unavailable.")

    monkeypatch.setattr(jobs, "provision_tenant_for_subscription", fail)
    entrypoints = Entrypoints()
    jobs.register(entrypoints, system.provisioning, Progress())  # type: ignore[arg-type]
    job = Job.model_construct(payload=str(uuid4()).encode())
    with pytest.raises(RetryRequested) as retried:
        await entrypoints.jobs[PROVISION](job)
    assert retried.value.delay.total_seconds() == 2
