"""Figures about the work, read from the database: what waits, what fails, and for how long.

One statement reads all of them, at most every FRESH_SECONDS however often monitoring asks; the
kinds of trouble, the load of servers and the revenue have their own, which are dearer and so less
frequent. While the database is down, `Figures.up` is false and there are no values.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import asyncpg
from prometheus_client.core import GaugeMetricFamily

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.telemetry import repository

logger = logging.getLogger(__name__)

FRESH_SECONDS = 4.0
"""How long figures are reused; shorter than any scrape interval."""

DEAR_FRESH_SECONDS = 30.0
"""How long the number of troubles, the load of servers and the revenue are reused."""

READ_SECONDS = 3.0
"""Prometheus gives a scrape 10 s by default; it must not hang while the database is down."""

LATE_ORDER_SECONDS = 300
LATE_EVENT_SECONDS = 900
LATE_JOB_SECONDS = 300
SILENT_WORKER_SECONDS = 300
"""A worker looks for due work once a minute."""

_PREFIX = "mpanel_billing_"
_MINUTE = 60

Labels: TypeAlias = tuple[str, ...]
Values: TypeAlias = Mapping[str, Mapping[Labels, float]]
ListUnmade: TypeAlias = Callable[[Iterable[str]], Sequence[str]]
"""Tells of which of these product types no service makes accounts."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric read from the database: its help text and the names of its labels."""

    help: str
    labels: Labels = ()


FAMILIES: Mapping[str, Family] = {
    "inbox_events": Family(
        "Events in the inbox, by status; finished ones are estimated in a large inbox", ("status",)
    ),
    "inbox_oldest_seconds": Family(
        "Age of the oldest event that is received or failed, 0 without one", ("status",)
    ),
    "webhook_latest_seconds": Family("Seconds since the latest event that a webhook delivered"),
    "event_poll_found_seconds": Family(
        "Seconds since Stripe's list had events that no webhook had delivered"
    ),
    "products_on_sale": Family("Products on sale, by the type of account", ("product_type",)),
    "products_unmade": Family(
        "Products on sale of whose type no service makes accounts, 0 if one does", ("product_type",)
    ),
    "trouble": Family("Rows of billing_trouble, by kind", ("kind",)),
    "server_accounts": Family(
        "Places taken on a server of a product type that has several", ("product_type", "server")
    ),
    "server_capacity": Family(
        "Places that a server has, no value without a limit", ("product_type", "server")
    ),
    "server_failing": Family(
        "1 while new accounts are placed elsewhere because a server's commands fail",
        ("product_type", "server"),
    ),
    "moves": Family("Moves of accounts between servers that are not over", ("state",)),
    "mrr": Family("Monthly recurring revenue, in minor units", ("currency", "livemode")),
    "mrr_customers": Family("Customers who pay every month", ("currency", "livemode")),
    "mrr_moved": Family(
        "Movements of the monthly recurring revenue of 30 days, in minor units",
        ("currency", "livemode", "kind"),
    ),
    "mrr_moved_customers": Family(
        "Customers of whom these movements are", ("currency", "livemode", "kind")
    ),
    "payments": Family(
        "Payments of 30 days: collected, refunded, disputed, failed, and of the failed recovered",
        ("currency", "livemode", "kind"),
    ),
    "payments_amount": Family(
        "What these payments are, in minor units", ("currency", "livemode", "kind")
    ),
    "refetches": Family("Objects to refetch from Stripe, now or later", ("state",)),
    "refetches_due_oldest_seconds": Family("How long the oldest refetch has been due"),
    "refetches_failing": Family("Refetches that have failed and are retried"),
    "refetches_failing_oldest_seconds": Family("How long ago the oldest of these was requested"),
    "queue_jobs": Family("Jobs in the queue, by kind and status", ("job", "status")),
    "queue_oldest_seconds": Family("How long the oldest waiting job has been due"),
    "subscriptions": Family(
        "Subscriptions, by Stripe's status; estimated in a large table", ("stripe_status",)
    ),
    "services": Family("Provisioned services, by state; estimated in a large table", ("actual",)),
    "services_unsettled": Family(
        "Services that differ from their desired state, or are stopped, and what they wait for",
        ("desired", "actual", "state"),
    ),
    "orders_unprovisioned": Family("Orders paid or on trial that have no tenant yet"),
    "orders_unprovisioned_oldest_seconds": Family("Age of the oldest of these, 0 without one"),
    "access_data_waiting": Family("Access data of new accounts that nobody has fetched yet"),
    "domain_renewals": Family(
        "Further years of domains that are due, charged or paid, and not renewed yet", ("state",)
    ),
    "domain_renewals_paid_oldest_seconds": Family(
        "How long the oldest further year has been paid and not renewed, 0 without one"
    ),
    "usage_waiting": Family("Meter events that Stripe was not told yet"),
    "usage_waiting_oldest_seconds": Family(
        "How long ago the oldest of these was reported, 0 without one"
    ),
    "merges": Family("Merges of two customers within the last day", ("state",)),
    "tax_notices": Family("Subscriptions told of taxes that are not added yet", ("state",)),
    "provisioning_troubled": Family("Subscriptions whose provisioning failed or needs a person"),
    "worker_swept_seconds": Family("Seconds since a worker last looked for due work"),
    "reconcile_finished_seconds": Family("Seconds since the latest reconcile ended"),
    "reconcile": Family("What the latest reconcile compared, found and repaired", ("kind",)),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Values by family and labels; `up` is whether the database could be read."""

    up: bool
    values: Values = field(default_factory=dict)

    def get(self, family: str, *labels: str) -> float | None:
        """Return one value, or None without one."""
        return self.values.get(family, {}).get(labels)


class FigureReader:
    """Reads the figures for all readers in this process."""

    def __init__(self, pool: Pool, list_unmade: ListUnmade = lambda _: ()) -> None:
        """Read from the pool's database; without `list_unmade` a service makes everything."""
        self._pool = pool
        self._list_unmade = list_unmade
        self._reading = asyncio.Lock()
        self._latest: Figures | None = None
        self._read_at = 0.0
        self._dear: Values = {}
        self._dear_read_at = -math.inf

    async def read(self) -> Figures:
        """Return the figures, at most FRESH_SECONDS old; never raises, never hangs."""
        async with self._reading:
            if self._latest is None or time.monotonic() - self._read_at > FRESH_SECONDS:
                self._latest = await self._read_now()
                self._read_at = time.monotonic()
            return self._latest

    async def _read_now(self) -> Figures:
        values = await self._try(repository.read_figures)
        if values is None:
            return Figures(up=False)
        if time.monotonic() - self._dear_read_at > DEAR_FRESH_SECONDS:
            read = await self._try(repository.read_dear)
            # one slow response does not make an alert start over
            self._dear = self._dear if read is None else read
            self._dear_read_at = time.monotonic()
        unmade = self._count_unmade(values.get("products_on_sale", {}))
        return Figures(up=True, values={**values, **self._dear, "products_unmade": unmade})

    def _count_unmade(self, on_sale: Mapping[Labels, float]) -> Mapping[Labels, float]:
        unmade = self._list_unmade([type_ for (type_,) in on_sale])
        return {(type_,): n if type_ in unmade else 0 for (type_,), n in on_sale.items()}

    async def _try(self, read: Callable[[Connection], Awaitable[Values]]) -> Values | None:
        try:
            async with asyncio.timeout(READ_SECONDS), acquired(self._pool) as conn:
                return await read(conn)
        except (DatabaseUnavailableError, TimeoutError, asyncpg.PostgresError) as error:
            # an outdated schema lands here too; /api/health/ready reports that
            repeated = self._latest is not None and not self._latest.up
            level = logging.DEBUG if repeated else logging.WARNING
            logger.log(level, "cannot read the figures: %s", error or type(error).__name__)
            return None


def describe_figures(figures: Figures) -> Iterable[GaugeMetricFamily]:
    """Return the figures as Prometheus metrics."""
    yield GaugeMetricFamily(
        f"{_PREFIX}database_up",
        "1 if the figures could be read from the database within seconds",
        value=float(figures.up),
    )
    for name, family in FAMILIES.items():
        metric = GaugeMetricFamily(_PREFIX + name, family.help, labels=family.labels)
        for labels, value in figures.values.get(name, {}).items():
            metric.add_metric(labels, value)
        yield metric


@dataclass(frozen=True, slots=True)
class Troubles:
    """What is late, in sentences; the ages (seconds) are None when nothing waits."""

    reasons: tuple[str, ...]
    event_seconds: int | None
    order_seconds: int | None


def find_troubles(figures: Figures) -> Troubles:
    """Return what a person should look at; docs/monitoring/alerts.yaml has the same limits."""
    events = _oldest_event(figures)
    orders = _seconds(figures.get("orders_unprovisioned_oldest_seconds"))
    reasons = (*_late_work(figures, events or 0, orders or 0), *_unmade_products(figures))
    return Troubles(reasons, events, orders)


def _late_work(figures: Figures, events: int, orders: int) -> Iterator[str]:
    if not figures.up:
        yield "the amount of waiting work could not be read from the database"
    if orders > LATE_ORDER_SECONDS:
        yield f"a paid order has waited {_age(orders)} for provisioning (see billing_trouble)"
    if events > LATE_EVENT_SECONDS:
        yield f"a Stripe event has not been applied for {_age(events)} (see billing_trouble)"
    if (jobs := figures.get("queue_oldest_seconds") or 0) > LATE_JOB_SECONDS:
        yield f"a job has waited {_age(jobs)} for a worker"
    if (silence := figures.get("worker_swept_seconds") or 0) > SILENT_WORKER_SECONDS:
        yield f"no worker has looked for work for {_age(silence)}"


def _unmade_products(figures: Figures) -> Iterator[str]:
    counts = figures.values.get("products_unmade", {})
    if unmade := sorted(type_ for (type_,), count in counts.items() if count):
        yield f"on sale, and made by no service: {', '.join(unmade)} (see doctor)"


def _oldest_event(figures: Figures) -> int | None:
    ages = [figures.get("inbox_oldest_seconds", status) or 0 for status in ("received", "failed")]
    return _seconds(max(ages))


def _seconds(age: float | None) -> int | None:
    return int(age) if age else None


def _age(seconds: float) -> str:
    return f"{int(seconds // _MINUTE)} min"
