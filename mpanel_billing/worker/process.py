"""The worker process: takes triggers off the queue and does the work that they name.

Any number of workers share the queue. A worker survives a restart of the database, and stops within
STOP_SECONDS of a signal; another worker takes over what it did not finish.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pgqueuer
from pgqueuer import PgQueuer

from mpanel_billing.access.persons import PersonHasher
from mpanel_billing.background import background
from mpanel_billing.database.connecting import CONNECT_TIMEOUT_SECONDS
from mpanel_billing.database.pool import (
    COMMAND_TIMEOUT_SECONDS,
    BoundedPool,
    Pool,
    reset_open_transaction,
)
from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.encryption import Vault
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.messages.sending import CHANNEL, open_sender
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.converge import Provisioning
from mpanel_billing.provisioning.drivers.registry import Drivers, open_drivers
from mpanel_billing.provisioning.lease import Clock, database_clock
from mpanel_billing.provisioning.placement import record_servers
from mpanel_billing.provisioning.policy import policy_of
from mpanel_billing.provisioning.proofs import proof_checks_of, proof_rules_of
from mpanel_billing.provisioning.registrar.run import Registering
from mpanel_billing.provisioning.trials import TrialRules
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.retention.service import ages_of
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from mpanel_billing.telemetry.pool import open_pool, sampled
from mpanel_billing.telemetry.process_manager import signal_ready, stopping_with_pm2
from mpanel_billing.usage.sending import CHANNEL as USAGE_CHANNEL
from mpanel_billing.usage.sending import UsageSender
from mpanel_billing.worker.domains import (
    renewal_rules_of,
    schedule_proofs,
    schedule_renewals,
)
from mpanel_billing.worker.jobs import (
    register,
    register_domains,
    schedule_changes,
    schedule_ending_disputed,
    schedule_pruning,
    schedule_reconciling,
    schedule_taxing,
)
from mpanel_billing.worker.outages import brief_outages
from mpanel_billing.worker.stall import Progress, watch_queue
from mpanel_billing.worker.sweep import trigger_undone

logger = logging.getLogger(__name__)

STOP_SECONDS = 9.5
"""The time limit of a stop; the process manager kills the process a little later."""

_DRAIN_SECONDS = 8.0
"""How long jobs may continue after the signal before they are cancelled."""

_DEQUEUE_SECONDS = 2.0
"""The maximum delay of a job whose notification was lost."""

_HEARTBEAT_SECONDS = 10.0
"""Another worker takes a job over after this long without a heartbeat."""

_RESTART_SECONDS = 1.0
_BATCH = 20
_FEWEST_JOBS = 40
"""The lower bound of `most_jobs`."""

_QUEUE_CONNECTIONS = 4


async def run_worker(settings: Settings, clock: Clock = database_clock) -> None:
    """Work until SIGINT or SIGTERM, and return at most STOP_SECONDS after that.

    Provisioning uses the time of `clock`.
    """
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    working = asyncio.create_task(work(settings, stop, clock))
    stopping = asyncio.create_task(stop.wait())
    with stopping_with_pm2(stop):
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        logger.info("stopping")
        await asyncio.wait({working}, timeout=_DRAIN_SECONDS)
    if not working.done():
        logger.warning("cancelling jobs; another worker continues them")
        working.cancel()
        await asyncio.wait({working}, timeout=STOP_SECONDS - _DRAIN_SECONDS)
    if working.done() and not working.cancelled():
        working.result()


async def work(settings: Settings, stop: asyncio.Event, clock: Clock = database_clock) -> None:
    """Work until the event is set and running jobs are done; restart after failures."""
    progress = Progress()
    with brief_outages():
        async with background(watch_queue(settings.direct_url, progress)):
            await _run_queue(settings, stop, clock, progress)


async def _run_queue(
    settings: Settings, stop: asyncio.Event, clock: Clock, progress: Progress
) -> None:
    await pgqueuer.run(
        lambda: _open_queue(settings, clock, progress),
        dequeue_timeout=timedelta(seconds=_DEQUEUE_SECONDS),
        batch_size=_BATCH,
        heartbeat_timeout=timedelta(seconds=_HEARTBEAT_SECONDS),
        max_concurrent_tasks=most_jobs(settings),
        shutdown_on_listener_failure=True,
        restart_on_failure=True,
        restart_delay=timedelta(seconds=_RESTART_SECONDS),
        shutdown=stop,
    )


def most_jobs(settings: Settings) -> int:
    """Return how many jobs a worker takes at once.

    Jobs mostly wait, for services and Stripe, each with its own limit. Twice what the services
    accept keeps a slow one from blocking the others; more would keep jobs from idle workers.
    """
    usual = settings.provisioning_concurrency
    services = settings.provisioning_services.values()
    called = [endpoint for service in services for endpoint in service.endpoints.values()]
    return max(_FEWEST_JOBS, 2 * sum(endpoint.concurrency or usual for endpoint in called))


@asynccontextmanager
async def _open_queue(
    settings: Settings, clock: Clock, progress: Progress
) -> AsyncIterator[PgQueuer]:
    """Open everything again: after a failure, no old connection can be trusted."""
    async with AsyncExitStack() as stack:
        queue_pool = await stack.enter_async_context(_queue_pool(settings))
        pool = await stack.enter_async_context(await open_pool(settings))
        await stack.enter_async_context(sampled(pool, "worker"))
        drivers = await stack.enter_async_context(open_drivers(settings))
        gateway = await stack.enter_async_context(open_gateway(settings))
        await record_servers(pool, drivers)
        provisioning = _provisioning(settings, pool, gateway, drivers, clock)
        queue = PgQueuer.from_asyncpg_pool(queue_pool)
        register(queue, provisioning, progress)
        auth_codes = AuthCodes(settings.encryption_keys)
        register_domains(queue, Registering(pool, drivers, auth_codes, clock), progress)
        schedule_changes(queue, provisioning.mirror, clock)
        schedule_renewals(queue, provisioning.mirror, renewal_rules_of(settings), clock)
        schedule_proofs(queue, proof_checks_of(settings, pool))
        schedule_pruning(queue, pool, ages_of(settings))
        if settings.tax == "automatic":
            schedule_taxing(queue, provisioning.mirror)
        if settings.dispute_policy == "cancel":
            schedule_ending_disputed(queue, Mirror(pool, gateway, settings.livemode))
        stripe = PacedStripe(gateway, Pace(settings.reconcile_requests_per_second))
        mirror = Mirror(pool, stripe, settings.livemode, silent=True)
        context = ReconcileContext(mirror, drivers)
        schedule_reconciling(queue, context, settings.reconcile_hour, progress)
        await _listen(queue)
        sender = await stack.enter_async_context(open_sender(pool, settings.panel_links))
        woken = asyncio.Event()
        await queue.connection.add_listener(CHANNEL, lambda _: woken.set())
        await stack.enter_async_context(background(sender.run(woken)))
        await _send_usage(stack, queue, pool, gateway, settings)
        await trigger_undone(pool, clock)
        logger.info("worker ready")
        signal_ready()
        yield queue


async def _send_usage(
    stack: AsyncExitStack, queue: PgQueuer, pool: Pool, gateway: StripeGateway, settings: Settings
) -> None:
    """Send usage in the background for as long as the queue is open."""
    pace = Pace(settings.usage_requests_per_second)
    sender, reported = UsageSender(pool, gateway, pace, settings.livemode), asyncio.Event()
    await queue.connection.add_listener(USAGE_CHANNEL, lambda _: reported.set())
    await stack.enter_async_context(background(sender.run(reported)))


def _provisioning(
    settings: Settings, pool: Pool, gateway: StripeGateway, drivers: Drivers, clock: Clock
) -> Provisioning:
    return Provisioning(
        pool=pool,
        gateway=gateway,
        drivers=drivers,
        policy=policy_of(settings),
        tenant_suffix=settings.tenant_suffix,
        livemode=settings.livemode,
        proof_rules=proof_rules_of(settings),
        trials=TrialRules(
            PersonHasher(settings.person_secret), end_second=settings.second_trials == "end"
        ),
        vault=Vault(settings.encryption_keys),
        clock=clock,
    )


def _queue_pool(settings: Settings) -> BoundedPool:
    """Open connections for PgQueuer, which encodes JSON itself; ours have a codec.

    What it writes there may be lost with the server: a job that runs again does no harm, and what
    enqueues a job is committed over other connections. Resetting a connection after each of its
    statements took as many round trips as the statements.
    """
    return BoundedPool(
        settings.direct_url,
        min_size=1,
        max_size=_QUEUE_CONNECTIONS,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        reset=reset_open_transaction,
        server_settings={
            "application_name": "mpanel-billing-queue",
            "timezone": "UTC",
            "synchronous_commit": "off",
        },
    )


async def _listen(queue: PgQueuer) -> None:
    """Listen before the queue runs.

    Otherwise its first probe of the listener, over another connection, may precede LISTEN, and
    10 s later it takes a healthy connection for a broken one.
    """
    await queue.connection.add_listener(queue.channel, lambda _: None)
