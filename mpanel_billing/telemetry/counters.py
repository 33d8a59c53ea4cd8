"""The meters of a process. Every label is of a closed set, whatever comes from outside."""

from functools import cache
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from mpanel_billing.telemetry.multiprocess import join_processes

join_processes()  # the library asks how to keep a meter when the meter is made
disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, unread

OTHER = "other"
"""Stands for whatever is not of a label's closed set."""

JobOutcome = Literal["done", "failed", "busy", "lost", "broken_off"]
Process = Literal["web", "worker"]

REFUSALS = (
    "signature_missing",
    "signature_malformed",
    "signature_invalid",
    "signature_too_old",
    "malformed_request",
    "not_an_event",
    "wrong_mode",
)
STRIPE_OUTCOMES = ("ok", "refused", "busy", "rate_limited", "broke", "unreachable")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_DRIVERS = frozenset({"http", "log"})

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
_AGES = (1, 2, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600, 72 * 3600)
_SIZES = (1, 2, 4, 8, 16, 32, 64)

HTTP_REQUESTS = Counter(
    "mpanel_billing_http_requests",
    "Requests answered, by method, route and status",
    ["method", "route", "status"],
)
HTTP_SECONDS = Histogram(
    "mpanel_billing_http_request_duration_seconds",
    "From a request's arrival to its answer; ?wait= holds answers back on purpose",
    ["method", "route"],
    buckets=_QUICK,
)
WEBHOOK_EVENTS = Counter(
    "mpanel_billing_webhook_events",
    "Events that were acknowledged, by type and outcome",
    ["type", "outcome"],
)
WEBHOOKS_REFUSED = Counter(
    "mpanel_billing_webhooks_refused",
    "Webhook requests that were refused and not stored, by reason",
    ["reason"],
)
EVENT_AGE = Histogram(
    "mpanel_billing_webhook_event_age_seconds",
    "How long ago Stripe had made an event when it came, by Stripe's clock and ours",
    buckets=_AGES,
)
BATCH_SECONDS = Histogram(
    "mpanel_billing_webhook_apply_seconds",
    "From taking a batch of events to its commit",
    buckets=_QUICK,
)
BATCH_EVENTS = Histogram(
    "mpanel_billing_webhook_batch_events", "Events that were committed together", buckets=_SIZES
)
STRIPE_CALLS = Counter(
    "mpanel_billing_stripe_calls",
    "Requests to Stripe, every retry counted, by method, resource and outcome",
    ["method", "resource", "outcome"],
)
STRIPE_SECONDS = Histogram(
    "mpanel_billing_stripe_call_duration_seconds",
    "How long a request to Stripe took",
    ["method", "resource"],
    buckets=_SLOW,
)
DRIVER_CALLS = Counter(
    "mpanel_billing_driver_calls",
    "Orders to provisioning drivers, by driver, action and outcome",
    ["driver", "action", "outcome"],
)
DRIVER_SECONDS = Histogram(
    "mpanel_billing_driver_call_duration_seconds",
    "How long an order to a driver took, its turn among others included",
    ["driver", "action"],
    buckets=_SLOW,
)
JOBS = Counter("mpanel_billing_jobs", "Jobs that were run, by kind and outcome", ["job", "outcome"])
JOB_SECONDS = Histogram(
    "mpanel_billing_job_duration_seconds", "How long a job ran", ["job"], buckets=_SLOW
)
POOL_CONNECTIONS = Gauge(
    "mpanel_billing_pool_connections",
    "Connections to PostgreSQL that are open, by process and whether one is in use",
    ["process", "state"],
    multiprocess_mode="livesum",
)
POOL_MOST = Gauge(
    "mpanel_billing_pool_connections_max",
    "Connections to PostgreSQL that may be open (DATABASE_POOL_MAX), by process",
    ["process"],
    multiprocess_mode="livesum",
)
POOL_WAITING = Gauge(
    "mpanel_billing_pool_waiting",
    "Who is waiting for a connection to PostgreSQL now",
    multiprocess_mode="livesum",
)
POOL_REFUSED = Counter(
    "mpanel_billing_pool_timeouts", "Who has waited for a connection to PostgreSQL in vain"
)
PROCESSES = Gauge(
    "mpanel_billing_processes",
    "Processes that run on this machine, or are known to it, by kind",
    ["process"],
    multiprocess_mode="livesum",
)


for _reason in (*REFUSALS, OTHER):  # at 0 from the start: a rate sees only how a series grows
    WEBHOOKS_REFUSED.labels(_reason)


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that was answered; `route` is one of the router's, never a path."""
    requests, duration = _of_route(method if method in _METHODS else OTHER, route, status)
    requests.inc()
    duration.observe(seconds)


@cache
def _of_route(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Look the two series up once: a request counts in microseconds."""
    return HTTP_REQUESTS.labels(method, route, str(status)), HTTP_SECONDS.labels(method, route)


@cache
def event_counter(known_type: str, outcome: str) -> Counter:
    """Return the counter of events of a type that we know, or OTHER."""
    return WEBHOOK_EVENTS.labels(known_type, outcome)


def count_refusal(code: str) -> None:
    """Count a webhook request that was refused."""
    WEBHOOKS_REFUSED.labels(code if code in REFUSALS else OTHER).inc()


def count_batch(events: int, seconds: float) -> None:
    """Count events that were committed together."""
    BATCH_EVENTS.observe(events)
    BATCH_SECONDS.observe(seconds)


def count_stripe_call(method: str, resource: str, outcome: str, seconds: float) -> None:
    """Count a request to Stripe; the caller keeps `resource` and `outcome` to closed sets."""
    known = method.upper() if method.upper() in _METHODS else OTHER
    STRIPE_CALLS.labels(known, resource, outcome).inc()
    STRIPE_SECONDS.labels(known, resource).observe(seconds)


def count_driver_call(driver: str, action: str, outcome: str, seconds: float) -> None:
    """Count an order to a driver."""
    known = driver if driver in _DRIVERS else OTHER
    DRIVER_CALLS.labels(known, action, outcome).inc()
    DRIVER_SECONDS.labels(known, action).observe(seconds)


def count_job(job: str, outcome: JobOutcome, seconds: float) -> None:
    """Count a job that was run; `job` is an entrypoint's name."""
    JOBS.labels(job, outcome).inc()
    JOB_SECONDS.labels(job).observe(seconds)
