"""What the database tells of the work: what waits, what fails, and for how long.

One statement reads all of it, at most every FRESH_SECONDS however often monitoring asks. While
the database is away, `Figures.up` is false and nothing else is told.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import asyncpg
from prometheus_client.core import GaugeMetricFamily

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import load_queries
from mpanel_billing.errors import DatabaseUnavailableError

logger = logging.getLogger(__name__)

FRESH_SECONDS = 4.0
"""For so long an answer is given again: less than the interval of any scrape."""

READ_SECONDS = 3.0
"""A scrape is over in ten seconds at most; it must not wait for a database that is away."""

_PREFIX = "mpanel_billing_"
_queries = load_queries("monitoring")

Labels: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric that is read from the database: its help text, and the names of its labels."""

    help: str
    labels: Labels = ()


FAMILIES: Mapping[str, Family] = {
    "inbox_events": Family(
        "Events in the inbox by status; of a large inbox those at rest are estimated", ("status",)
    ),
    "inbox_oldest_seconds": Family(
        "Age of the oldest event that is received or failed, 0 when there is none", ("status",)
    ),
    "refetches": Family("Objects that Stripe has to be asked about, now or later", ("state",)),
    "refetches_due_oldest_seconds": Family("For how long the oldest of them has been due"),
    "refetches_failing": Family("Those among them that Stripe could not be asked about"),
    "refetches_failing_oldest_seconds": Family("For how long the oldest of these has been wanted"),
    "queue_jobs": Family("Jobs in the queue, by kind and status", ("job", "status")),
    "queue_oldest_seconds": Family("For how long the oldest waiting job has been due"),
    "subscriptions": Family(
        "Subscriptions by Stripe's status; of many, estimated", ("stripe_status",)
    ),
    "services": Family("Provisioned services by state; of many, estimated", ("actual",)),
    "services_unsettled": Family(
        "Services that are not what they should be, or stopped, and why nothing happens",
        ("desired", "actual", "state"),
    ),
    "orders_unprovisioned": Family("Orders that are paid, or on trial, and not provisioned yet"),
    "orders_unprovisioned_oldest_seconds": Family("Age of the oldest of them, 0 without one"),
    "provisioning_troubled": Family("Subscriptions whose provisioning has failed or needs a look"),
    "worker_swept_seconds": Family("When a worker last looked for due work: seconds ago"),
    "reconcile_finished_seconds": Family("When the latest reconcile ended: seconds ago"),
    "reconcile": Family("What the latest reconcile has compared, found and repaired", ("kind",)),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What was read: `values` by family and labels; `up` tells whether the database answered."""

    up: bool
    values: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    def get(self, family: str, *labels: str) -> float | None:
        """Return one value; None where the database has told nothing."""
        return self.values.get(family, {}).get(labels)


class FigureReader:
    """Reads the figures for whoever asks in this process."""

    def __init__(self, pool: Pool) -> None:
        """Read from the pool's database."""
        self._pool = pool
        self._reading = asyncio.Lock()
        self._latest: Figures | None = None
        self._read_at = 0.0

    async def read(self) -> Figures:
        """Return the figures, at most FRESH_SECONDS old; never fails, and never hangs."""
        async with self._reading:
            if self._latest is None or time.monotonic() - self._read_at > FRESH_SECONDS:
                self._latest = await self._read_now()
                self._read_at = time.monotonic()
            return self._latest

    async def _read_now(self) -> Figures:
        try:
            async with asyncio.timeout(READ_SECONDS), acquired(self._pool) as conn:
                rows = await _queries.read_figures.fetch(conn)
        except (DatabaseUnavailableError, TimeoutError, asyncpg.PostgresError) as error:
            # a schema that is behind is for /api/health/ready to tell; the meters are told anyway
            known = self._latest is not None and not self._latest.up
            level = logging.DEBUG if known else logging.WARNING
            logger.log(level, "the figures cannot be read: %s", error or type(error).__name__)
            return Figures(up=False)
        return Figures(up=True, values=_arrange(rows))


def _arrange(rows: Sequence[asyncpg.Record]) -> Mapping[str, Mapping[Labels, float]]:
    values: dict[str, dict[Labels, float]] = {name: {} for name in FAMILIES}
    for row in rows:
        values[row["figure"]][tuple(row["labels"])] = row["value"]
    return values


def describe_figures(figures: Figures) -> Iterable[GaugeMetricFamily]:
    """Turn the figures into metrics."""
    yield GaugeMetricFamily(
        f"{_PREFIX}database_up",
        "Whether the database told the figures, within seconds",
        value=float(figures.up),
    )
    for name, family in FAMILIES.items():
        metric = GaugeMetricFamily(_PREFIX + name, family.help, labels=family.labels)
        for labels, value in figures.values.get(name, {}).items():
            metric.add_metric(labels, value)
        yield metric
