"""What of the figures a person should look at. The alerts of docs/monitoring say the same."""

from collections.abc import Iterator
from dataclasses import dataclass

from mpanel_billing.telemetry.figures import Figures

LATE_ORDER_SECONDS = 300
LATE_EVENT_SECONDS = 900
LATE_JOB_SECONDS = 300
SILENT_WORKER_SECONDS = 300
"""A worker looks for due work once a minute."""

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Troubles:
    """What is late, in sentences, and the ages in seconds of what waits; None: nothing does."""

    reasons: tuple[str, ...]
    event_seconds: int | None
    order_seconds: int | None


def find_troubles(figures: Figures) -> Troubles:
    """Judge the figures."""
    events = _oldest_event(figures)
    orders = _seconds(figures.get("orders_unprovisioned_oldest_seconds"))
    return Troubles(tuple(_describe(figures, events or 0, orders or 0)), events, orders)


def _describe(figures: Figures, events: int, orders: int) -> Iterator[str]:
    if not figures.up:
        yield "the database did not tell how much work waits"
    if orders > LATE_ORDER_SECONDS:
        yield f"an order is paid and not provisioned for {_age(orders)} (billing_trouble)"
    if events > LATE_EVENT_SECONDS:
        yield f"an event of Stripe's is not applied for {_age(events)} (billing_trouble)"
    if (jobs := figures.get("queue_oldest_seconds") or 0) > LATE_JOB_SECONDS:
        yield f"a job waits for a worker for {_age(jobs)}"
    if (silence := figures.get("worker_swept_seconds") or 0) > SILENT_WORKER_SECONDS:
        yield f"no worker has looked for work for {_age(silence)}"


def _oldest_event(figures: Figures) -> int | None:
    ages = [figures.get("inbox_oldest_seconds", status) or 0 for status in ("received", "failed")]
    return _seconds(max(ages))


def _seconds(age: float | None) -> int | None:
    return int(age) if age else None


def _age(seconds: float) -> str:
    return f"{int(seconds // _MINUTE)} min"
