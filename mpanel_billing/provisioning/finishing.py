"""How a run ends: its outcome is stored, and the next run is scheduled if it is not done."""

from collections.abc import Mapping
from dataclasses import dataclass

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.queue import enqueue_provisioning_retry
from mpanel_billing.provisioning.desired import Desired, Phase
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository import runs
from mpanel_billing.provisioning.service_state import Service, blocker, in_order
from mpanel_billing.provisioning.work import Work


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run; `error` says why it is not `done`."""

    done: bool
    error: str | None = None


NOTHING_TO_DO = Outcome(done=True)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run has read and done."""

    work: Work
    desired: Desired
    services: Mapping[str, Service]
    further_errors: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """Return whether all is as desired, and why not."""
        of_services = _services_error(self.services)
        errors = [*((of_services,) if of_services else ()), *self.further_errors]
        return Outcome(done=not errors, error="; ".join(errors) or None)


async def finish_run(pool: Pool, lease: Lease, run: Run) -> Outcome | None:
    """Store the result of the run; None: the desired state has changed."""
    if run.outcome.done:
        async with acquired(pool) as conn:
            finished = await _store_end(conn, lease, run)
    else:
        async with transaction(pool) as conn:
            finished = await _store_end(conn, lease, run)
            if finished is not None:
                await _trigger_next(conn, run.work, *finished)
    return None if finished is None else run.outcome


async def _store_end(conn: Connection, lease: Lease, run: Run) -> tuple[int, float | None] | None:
    return await runs.finish_work(
        conn,
        lease,
        run.work,
        done=run.outcome.done,
        error=run.outcome.error,
        wake_at=run.desired.wake_at,
        reason=run.desired.reason,
        retry_seconds=retry_seconds(run.work.attempts) if run.further_errors else None,
        statuses=statuses_of(run.desired.phase, run.services),
    )


async def _trigger_next(
    conn: Connection, work: Work, attempts: int, wake_seconds: float | None
) -> None:
    """Schedule the next try; what only time changes is found by the sweep."""
    if wake_seconds is not None:
        await enqueue_provisioning_retry(
            conn, work.subscription_id, work.version, attempts, wake_seconds
        )


def statuses_of(phase: Phase, services: Mapping[str, Service]) -> tuple[str, str] | None:
    """Return the new statuses of the subscription and of its tenant; None: unchanged.

    They change once the services are as the phase demands, not before.
    """
    actual = {service.actual for service in services.values()}
    match phase:
        case Phase.ACTIVE:
            wanted = [service for service in services.values() if service.desired == "active"]
            return ("active", "active") if all(service.settled for service in wanted) else None
        case Phase.SUSPENDED if "active" not in actual:
            return "suspended", "suspended"
        case Phase.ENDED if "active" not in actual:
            ended = "suspended" in actual
            return "cancelled", "suspended" if ended else "cancelled"
        case _:
            return None


def _services_error(services: Mapping[str, Service]) -> str | None:
    """Return which services are not as desired, and why."""
    parts = [
        f"{each.product_type}: {each.last_error or 'waiting for ' + str(blocker(each, services))}"
        for each in in_order(services)
        if not each.settled
    ]
    return "; ".join(parts) or None
