"""The background work: inbox, queue, worker, retention."""

from collections.abc import Mapping

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.doctor.finding import Finding, duration, failed, ok, warning
from mpanel_billing.retention.repository import EVENT_PAYLOADS, list_prunings

LATE_SECONDS = 300
"""The sweep triggers everything that is due once a minute."""

PRUNING_LATE_SECONDS = 26 * 3600
_NOUNS = {
    "job": "a job",
    "event": "an event to retry",
    "refetch": "a refetch from Stripe",
    "provisioning": "provisioning",
}


async def check_inbox(pool: Pool) -> list[Finding]:
    """Check for events that have not been applied."""
    async with acquired(pool) as conn:
        inbox = await repository.get_inbox(conn)
    if not inbox["failed"]:
        return [ok("inbox", "every event has been applied")]
    oldest = duration(inbox["oldest_seconds"])
    text = f"events not applied: {inbox['failed']}, the oldest for {oldest}"
    if inbox["given_up"]:
        text += f"; no longer retried: {inbox['given_up']}"
    return [failed("inbox", text, "see `mpanel-billing events list --status failed`")]


async def check_backlog(pool: Pool) -> list[Finding]:
    """Check for work that is overdue."""
    async with acquired(pool) as conn:
        return [judge_backlog(dict(await repository.get_backlog(conn)))]


def judge_backlog(ages: Mapping[str, int | None]) -> Finding:
    """Judge by how long the oldest of each kind has been due, in seconds."""
    late = {kind: age for kind, age in ages.items() if age is not None and age > LATE_SECONDS}
    if late:
        text = ", ".join(f"{_NOUNS[kind]} for {duration(age)}" for kind, age in late.items())
        return failed("queue", f"overdue: {text}", "check the worker and its log")
    oldest = max((age for age in ages.values() if age is not None), default=None)
    waiting = "empty" if oldest is None else f"the oldest has been due for {duration(oldest)}"
    return ok("queue", waiting)


async def check_worker(pool: Pool) -> list[Finding]:
    """Check that a worker is alive: its sweep each minute, its connections."""
    async with acquired(pool) as conn:
        seen = await repository.get_worker(conn)
    return [judge_worker(seen["seen_seconds_ago"], seen["connections"])]


def judge_worker(seen_seconds_ago: int | None, connections: int) -> Finding:
    """Judge by when a worker last started or swept, and by the workers' open connections."""
    advice = "start it: `pm2 start ecosystem.config.js`, or `mpanel-billing worker`"
    if seen_seconds_ago is None:
        return warning("worker", "has never run on this database", advice)
    text = f"last seen {duration(seen_seconds_ago)} ago"
    if seen_seconds_ago > LATE_SECONDS:
        return failed("worker", text, advice)
    if not connections:
        return warning("worker", f"{text}, but not connected now", advice)
    return ok("worker", text)


async def check_retention(pool: Pool) -> list[Finding]:
    """Check that the hourly pruning completes."""
    async with acquired(pool) as conn:
        rows = {row["subject"]: row for row in await list_prunings(conn)}
        now = await repository.get_clock(conn)
    pruned_at = rows[EVENT_PAYLOADS]["pruned_at"]
    if pruned_at is None:
        return [ok("retention", "nothing has been pruned yet")]
    ago = (now - pruned_at).total_seconds()
    if ago > PRUNING_LATE_SECONDS:
        text = f"old rows were last pruned {duration(ago)} ago"
        return [warning("retention", text, "the worker prunes every hour: check its log")]
    return [ok("retention", f"old rows were pruned {duration(ago)} ago")]
