"""What the worker does: the job of each kind of trigger, and what runs by the clock."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Literal
from uuid import UUID

from pgqueuer import Job, PgQueuer, RetryRequested
from pgqueuer.models import Schedule

from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.jobs.queue import DOMAIN, PROVISION, RECONCILE, REFETCH, RETRY_EVENT
from mpanel_billing.messages.receivers import record_expiring_cards
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from mpanel_billing.provisioning.lease import Clock, LeaseBusyError, LeaseLostError
from mpanel_billing.provisioning.registrar.run import Registering, see_to_domain
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.event_poll import poll_events
from mpanel_billing.reconciliation.runs import cron_of, request_daily_run, run_due
from mpanel_billing.retention.repository import Ages
from mpanel_billing.retention.service import prune
from mpanel_billing.subscriptions.disputes import end_disputed
from mpanel_billing.subscriptions.finders import FINDERS
from mpanel_billing.subscriptions.lost_domains import give_back_lost
from mpanel_billing.subscriptions.price_changes import make_price_changes
from mpanel_billing.subscriptions.schedules import finish_planned
from mpanel_billing.subscriptions.service_ends import finish_service_ends
from mpanel_billing.subscriptions.tax_notices import tax_those_told
from mpanel_billing.telemetry.counters import JobOutcome, begin_counting_jobs, count_job
from mpanel_billing.webhooks.inbox import retry_event
from mpanel_billing.worker.stall import Progress
from mpanel_billing.worker.sweep import sweep

logger = logging.getLogger(__name__)

_EVERY_MINUTE = "* * * * *"
_EVERY_HOUR = "17 * * * *"

_AFTER_OUTAGE = timedelta(seconds=2)
"""How long a job waits that found the database unavailable."""


def register(queue: PgQueuer, provisioning: Provisioning, progress: Progress) -> None:
    """Register the job of each kind of trigger, and what runs every minute."""
    pool = provisioning.pool
    mirror = Mirror(pool, provisioning.gateway, provisioning.livemode)

    async def provision_subscription(id_: str) -> None:
        await provision_tenant_for_subscription(provisioning, UUID(id_))

    async def ask_stripe(id_: str) -> None:
        await mirror.refetch(id_)

    async def apply_event(id_: str) -> None:
        await retry_event(mirror, id_)

    for entrypoint, do in (
        (PROVISION, provision_subscription),
        (REFETCH, ask_stripe),
        (RETRY_EVENT, apply_event),
    ):
        queue.entrypoint(entrypoint)(_job(entrypoint, do, progress))

    @queue.schedule("sweep", _EVERY_MINUTE)
    async def sweep_due(_: Schedule) -> None:
        await sweep(pool, provisioning.clock)

    @queue.schedule("service_ends", _EVERY_MINUTE)
    async def end_services(_: Schedule) -> None:
        await finish_service_ends(mirror, FINDERS)

    @queue.schedule("lost_domains", _EVERY_MINUTE)
    async def refund_lost_domains(_: Schedule) -> None:
        await give_back_lost(mirror)

    @queue.schedule("expiring_cards", _EVERY_HOUR)
    async def tell_expiring(_: Schedule) -> None:
        await record_expiring_cards(pool)

    @queue.schedule("poll_events", _EVERY_MINUTE)
    async def poll(_: Schedule) -> None:
        await poll_events(mirror)


def register_domains(queue: PgQueuer, registering: Registering, progress: Progress) -> None:
    """Register the job that manages one domain at its registrar."""

    async def see_to(id_: str) -> None:
        await see_to_domain(registering, UUID(id_))

    queue.entrypoint(DOMAIN)(_job(DOMAIN, see_to, progress))


def schedule_changes(queue: PgQueuer, mirror: Mirror, clock: Clock) -> None:
    """Make announced prices, and settle planned changes that were interrupted, every minute."""

    @queue.schedule("price_changes", _EVERY_MINUTE)
    async def change_prices(_: Schedule) -> None:
        await make_price_changes(mirror, clock())

    @queue.schedule("planned_changes", _EVERY_MINUTE)
    async def settle_planned(_: Schedule) -> None:
        await finish_planned(mirror)


def schedule_taxing(queue: PgQueuer, mirror: Mirror) -> None:
    """Tax those whose notice is over, every minute."""

    @queue.schedule("tax_notices", _EVERY_MINUTE)
    async def tax(_: Schedule) -> None:
        await tax_those_told(mirror)


def schedule_ending_disputed(queue: PgQueuer, mirror: Mirror) -> None:
    """Cancel subscriptions whose payments are disputed, every minute."""

    @queue.schedule("end_disputed", _EVERY_MINUTE)
    async def end(_: Schedule) -> None:
        await end_disputed(mirror)


def schedule_pruning(queue: PgQueuer, pool: Pool, ages: Ages) -> None:
    """Prune old rows every hour; a stopping worker ends after the current batch."""

    @queue.schedule("prune", _EVERY_HOUR)
    async def prune_old(_: Schedule) -> None:
        await prune(pool, ages, stop=queue.shutdown)


def schedule_reconciling(
    queue: PgQueuer, context: ReconcileContext, hour: int | Literal["off"], progress: Progress
) -> None:
    """Reconcile daily at that hour, and on request."""

    async def reconcile(id_: str) -> None:
        await run_due(context, UUID(id_), queue.shutdown)

    queue.entrypoint(RECONCILE)(_job(RECONCILE, reconcile, progress))
    if hour == "off":
        return

    @queue.schedule("reconcile_daily", cron_of(hour))
    async def begin_daily(_: Schedule) -> None:
        await request_daily_run(context.mirror)


def _job(
    entrypoint: str, do: Callable[[str], Awaitable[None]], progress: Progress
) -> Callable[[Job], Awaitable[None]]:
    """Wrap a function of an id as a job of the queue."""
    begin_counting_jobs(entrypoint)

    async def run(job: Job) -> None:
        id_ = (job.payload or b"").decode()
        fields: dict[str, object] = {"job": entrypoint, "objectId": id_}
        started = time.monotonic()
        try:
            with progress.job():
                await _counted(entrypoint, do(id_))
        except LeaseBusyError as busy:
            # if the other worker is dead, this one takes over
            raise RetryRequested(timedelta(seconds=busy.seconds), reason="busy") from busy
        except DatabaseUnavailableError as error:
            # a job that fails is gone, and the sweep finds its work only after a minute
            raise RetryRequested(_AFTER_OUTAGE, reason="the database is unavailable") from error
        except LeaseLostError:
            logger.warning("another worker has taken over", extra=fields)
        else:
            took = round((time.monotonic() - started) * 1000)
            logger.info("%s done", entrypoint, extra={**fields, "durationMs": took})

    return run


async def _counted(entrypoint: str, doing: Awaitable[None]) -> None:
    """Await it and count the outcome."""
    outcome: JobOutcome = "failed"
    started = time.monotonic()
    try:
        await doing
        outcome = "done"
    except LeaseBusyError:
        outcome = "busy"
        raise
    except LeaseLostError:
        outcome = "lost"
        raise
    except asyncio.CancelledError:
        outcome = "broken_off"
        raise
    finally:
        count_job(entrypoint, outcome, time.monotonic() - started)
