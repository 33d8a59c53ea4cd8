"""The worker process: takes triggers off the queue and does the work that they name.

Any number of workers share the queue. A worker outlives a restart of the database, and stops
within STOP_SECONDS of a signal; what it could not finish is taken up by another.
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pgqueuer
from pgqueuer import Job, PgQueuer, RetryRequested
from pgqueuer.models import Schedule

from mpanel_billing.database.pool import CONNECT_TIMEOUT_SECONDS, create_pool
from mpanel_billing.jobs.queue import PROVISION, REFETCH, RETRY_EVENT
from mpanel_billing.jobs.sweep import sweep
from mpanel_billing.mirror.refetch import refetch
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.drivers.configuration import open_drivers
from mpanel_billing.provisioning.lease import LeaseBusyError, LeaseLostError
from mpanel_billing.provisioning.service import Provisioning, provision_tenant_for_subscription
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import open_gateway
from mpanel_billing.webhooks.service import retry_event

logger = logging.getLogger(__name__)

STOP_SECONDS = 9.5
"""How long stopping may take in all; the process manager kills a little later."""

_DRAIN_SECONDS = 8.0
"""How long jobs may run on after the signal, before they are cancelled."""

_DEQUEUE_SECONDS = 2.0
"""How late a job is at most whose notification got lost."""

_HEARTBEAT_SECONDS = 10.0
"""A job of a killed worker is another's after this long without a sign of life."""

_RESTART_SECONDS = 1.0
_BATCH = 20
_MOST_JOBS = 100
"""Jobs of a worker at once. They mostly wait, for drivers and Stripe, each of which has its own
limit: a slow one must not keep the others from working."""

_QUEUE_CONNECTIONS = 4
_EVERY_MINUTE = "* * * * *"


async def run_worker(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM, and return at most STOP_SECONDS after that."""
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    working = asyncio.create_task(work(settings, stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        logger.info("stopping")
        await asyncio.wait({working}, timeout=_DRAIN_SECONDS)
    if not working.done():
        logger.warning("jobs are broken off; another worker goes on with them")
        working.cancel()
        await asyncio.wait({working}, timeout=STOP_SECONDS - _DRAIN_SECONDS)
    if working.done() and not working.cancelled():
        working.result()


async def work(settings: Settings, stop: asyncio.Event) -> None:
    """Work until the event is set and the running jobs are done; restart after failures."""
    await pgqueuer.run(
        lambda: _open_queue(settings),
        dequeue_timeout=timedelta(seconds=_DEQUEUE_SECONDS),
        batch_size=_BATCH,
        heartbeat_timeout=timedelta(seconds=_HEARTBEAT_SECONDS),
        max_concurrent_tasks=_MOST_JOBS,
        shutdown_on_listener_failure=True,
        restart_on_failure=True,
        restart_delay=timedelta(seconds=_RESTART_SECONDS),
        shutdown=stop,
    )


@asynccontextmanager
async def _open_queue(settings: Settings) -> AsyncIterator[PgQueuer]:
    """Open everything anew: after a failure, nothing of before can be trusted."""
    async with AsyncExitStack() as stack:
        queue_pool = await stack.enter_async_context(_queue_pool(settings))
        pool = await stack.enter_async_context(await create_pool(settings))
        drivers = await stack.enter_async_context(open_drivers(settings))
        gateway = open_gateway(settings)
        stack.push_async_callback(gateway.close)
        provisioning = Provisioning(
            pool=pool,
            gateway=gateway,
            drivers=drivers,
            policy=Policy(
                grace=timedelta(days=settings.grace_days),
                retention=timedelta(days=settings.retention_days),
            ),
            tenant_suffix=settings.tenant_suffix,
            livemode=settings.livemode,
        )
        queue = PgQueuer.from_asyncpg_pool(queue_pool)
        register(queue, provisioning)
        await _listen(queue)
        logger.info("worker ready")
        yield queue


def _queue_pool(settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    """Connections as PgQueuer wants them: it encodes its JSON itself, ours do it for us."""
    return asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        min_size=1,
        max_size=_QUEUE_CONNECTIONS,
        timeout=CONNECT_TIMEOUT_SECONDS,
        server_settings={"application_name": "mpanel-billing-queue", "timezone": "UTC"},
    )


async def _listen(queue: PgQueuer) -> None:
    """Listen before the queue runs.

    Else its first probe of the listener, over another connection, may come before it listens,
    and 10 s later it takes a sound connection for a broken one.
    """
    await queue.connection.add_listener(queue.channel, lambda _: None)


def register(queue: PgQueuer, provisioning: Provisioning) -> None:
    """Tell the queue what to do for each kind of trigger."""
    pool, gateway, livemode = provisioning.pool, provisioning.gateway, provisioning.livemode

    async def provision_subscription(id_: str) -> None:
        await provision_tenant_for_subscription(provisioning, UUID(id_))

    async def ask_stripe(id_: str) -> None:
        await refetch(pool, gateway, id_, livemode=livemode)

    async def apply_event(id_: str) -> None:
        await retry_event(pool, id_, livemode=livemode)

    for entrypoint, do in (
        (PROVISION, provision_subscription),
        (REFETCH, ask_stripe),
        (RETRY_EVENT, apply_event),
    ):
        queue.entrypoint(entrypoint)(_job(entrypoint, do))

    @queue.schedule("sweep", _EVERY_MINUTE)
    async def sweep_due(_: Schedule) -> None:
        await sweep(pool)


def _job(entrypoint: str, do: Callable[[str], Awaitable[None]]) -> Callable[[Job], Awaitable[None]]:
    """Wrap what is done for an id as a job of the queue."""

    async def run(job: Job) -> None:
        id_ = (job.payload or b"").decode()
        fields: dict[str, object] = {"job": entrypoint, "objectId": id_}
        started = time.monotonic()
        try:
            await do(id_)
        except LeaseBusyError as busy:
            # should the other worker be dead, this one takes over
            raise RetryRequested(timedelta(seconds=busy.seconds), reason="busy") from busy
        except LeaseLostError:
            logger.warning("another worker has taken over", extra=fields)
        else:
            took = round((time.monotonic() - started) * 1000)
            logger.info("%s done", entrypoint, extra={**fields, "durationMs": took})

    return run
