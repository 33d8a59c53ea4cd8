"""The Prometheus metrics of a process. Every label takes its values from a closed set."""

from collections import Counter as Tally
from collections.abc import Iterable
from functools import cache
from typing import Literal, get_args

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from mpanel_billing.telemetry.multiprocess import join_processes

join_processes()  # before the first metric: prometheus_client decides then where to keep values
disable_created_metrics()  # type: ignore[no-untyped-call]  # drops a `_created` series per metric

OTHER = "other"
"""The label value for everything outside the closed set."""

UsageOutcome = Literal["sent", "late", "refused", "retried"]
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
    "Responses sent, by method, route and status",
    ["method", "route", "status"],
)
HTTP_SECONDS = Histogram(
    "mpanel_billing_http_request_duration_seconds",
    "From request to response; requests with ?wait= are held open on purpose",
    ["method", "route"],
    buckets=_QUICK,
)
WEBHOOK_EVENTS = Counter(
    "mpanel_billing_webhook_events",
    "Events acknowledged, by type and outcome",
    ["type", "outcome"],
)
WEBHOOKS_REFUSED = Counter(
    "mpanel_billing_webhooks_refused",
    "Webhook requests refused and not stored, by reason",
    ["reason"],
)
EVENT_AGE = Histogram(
    "mpanel_billing_webhook_event_age_seconds",
    "Age of an event on arrival, from its `created` time",
    buckets=_AGES,
)
BATCH_SECONDS = Histogram(
    "mpanel_billing_webhook_apply_seconds",
    "From the start of a batch of events to its commit",
    buckets=_QUICK,
)
BATCH_EVENTS = Histogram(
    "mpanel_billing_webhook_batch_events", "Events committed together", buckets=_SIZES
)
STRIPE_CALLS = Counter(
    "mpanel_billing_stripe_calls",
    "Requests to Stripe including retries, by method, resource and outcome",
    ["method", "resource", "outcome"],
)
STRIPE_SECONDS = Histogram(
    "mpanel_billing_stripe_call_duration_seconds",
    "Duration of a request to Stripe",
    ["method", "resource"],
    buckets=_SLOW,
)
DRIVER_CALLS = Counter(
    "mpanel_billing_driver_calls",
    "Calls to provisioning drivers, by driver, action and outcome",
    ["driver", "action", "outcome"],
)
DRIVER_SECONDS = Histogram(
    "mpanel_billing_driver_call_duration_seconds",
    "Duration of a driver call, including the wait for its concurrency limit",
    ["driver", "action"],
    buckets=_SLOW,
)
USAGE_RECORDS = Counter(
    "mpanel_billing_usage_records",
    "Records of usage that were received, by what became of them",
    ["outcome"],
)
USAGE_EVENTS = Counter(
    "mpanel_billing_usage_events",
    "Meter events that were dealt with, by what became of them at Stripe",
    ["outcome"],
)
JOBS = Counter("mpanel_billing_jobs", "Jobs run, by kind and outcome", ["job", "outcome"])
JOB_SECONDS = Histogram(
    "mpanel_billing_job_duration_seconds", "Duration of a job", ["job"], buckets=_SLOW
)
POOL_CONNECTIONS = Gauge(
    "mpanel_billing_pool_connections",
    "Open connections to PostgreSQL, by process and state (idle, used)",
    ["process", "state"],
    multiprocess_mode="livesum",
)
POOL_MAX_CONNECTIONS = Gauge(
    "mpanel_billing_pool_connections_max",
    "Maximum connections to PostgreSQL (DATABASE_POOL_MAX), by process",
    ["process"],
    multiprocess_mode="livesum",
)
POOL_WAITING = Gauge(
    "mpanel_billing_pool_waiting",
    "Requests waiting for a connection to PostgreSQL",
    multiprocess_mode="livesum",
)
POOL_TIMEOUTS = Counter(
    "mpanel_billing_pool_timeouts", "Requests that got no connection to PostgreSQL in time"
)
PROCESSES = Gauge(
    "mpanel_billing_processes",
    "Running processes on this machine, by kind",
    ["process"],
    multiprocess_mode="livesum",
)


for _reason in (*REFUSALS, OTHER):  # start at 0: rate() misses the first increment of a new series
    WEBHOOKS_REFUSED.labels(_reason)
for _outcome in get_args(UsageOutcome):
    USAGE_EVENTS.labels(_outcome)


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a response; `route` is the router's pattern, never a path."""
    requests, duration = _of_route(method if method in _METHODS else OTHER, route, status)
    requests.inc()
    duration.observe(seconds)


@cache
def _of_route(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Look the two series up once; `labels` takes microseconds each time."""
    return HTTP_REQUESTS.labels(method, route, str(status)), HTTP_SECONDS.labels(method, route)


@cache
def event_counter(known_type: str, outcome: str) -> Counter:
    """Return the counter of a mirrored event type, or of OTHER."""
    return WEBHOOK_EVENTS.labels(known_type, outcome)


def count_refusal(code: str) -> None:
    """Count a refused webhook request."""
    WEBHOOKS_REFUSED.labels(code if code in REFUSALS else OTHER).inc()


def count_batch(events: int, seconds: float) -> None:
    """Count events committed together."""
    BATCH_EVENTS.observe(events)
    BATCH_SECONDS.observe(seconds)


def count_stripe_call(method: str, resource: str, outcome: str, seconds: float) -> None:
    """Count a request to Stripe; `resource` and `outcome` must come from closed sets."""
    known = method.upper() if method.upper() in _METHODS else OTHER
    STRIPE_CALLS.labels(known, resource, outcome).inc()
    STRIPE_SECONDS.labels(known, resource).observe(seconds)


def count_driver_call(driver: str, action: str, outcome: str, seconds: float) -> None:
    """Count a call to a driver."""
    known = driver if driver in _DRIVERS else OTHER
    DRIVER_CALLS.labels(known, action, outcome).inc()
    DRIVER_SECONDS.labels(known, action).observe(seconds)


def begin_counting_events(types: Iterable[str]) -> None:
    """Start the counters of applied events at 0: increase() misses what a series is born with."""
    for known_type in types:
        event_counter(known_type, "applied")


def begin_counting_records(outcomes: Iterable[str]) -> None:
    """Start the counters of records of usage at 0."""
    for outcome in outcomes:
        USAGE_RECORDS.labels(outcome)


def count_records(outcomes: Iterable[str]) -> None:
    """Count records of usage; the outcomes must come from a closed set."""
    for outcome, number in Tally(outcomes).items():
        USAGE_RECORDS.labels(outcome).inc(number)


def count_meter_event(outcome: UsageOutcome) -> None:
    """Count a try to tell Stripe of usage."""
    USAGE_EVENTS.labels(outcome).inc()


def begin_counting_jobs(job: str) -> None:
    """Start the counters of a kind of job at 0."""
    for outcome in get_args(JobOutcome):
        JOBS.labels(job, outcome)


def count_job(job: str, outcome: JobOutcome, seconds: float) -> None:
    """Count a job; `job` is the name of its entrypoint."""
    JOBS.labels(job, outcome).inc()
    JOB_SECONDS.labels(job).observe(seconds)
