"""Whether the work gets done: the inbox, what is due, the worker, the pruning."""

from collections.abc import Mapping

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.doctor.finding import Finding, duration, failed, ok, warning
from mpanel_billing.retention.repository import EVENT_PAYLOADS, list_prunings

LATE_SECONDS = 300
"""The sweep triggers every minute whatever is due."""

PRUNING_LATE_SECONDS = 26 * 3600
_NOUNS = {
    "job": "a job",
    "event": "an event to try again",
    "refetch": "a question to Stripe",
    "provisioning": "provisioning",
}


async def look_at_inbox(pool: Pool) -> list[Finding]:
    """Look for events that are not applied."""
    async with acquired(pool) as conn:
        inbox = await repository.get_inbox(conn)
    if not inbox["failed"]:
        return [ok("inbox", "every event is applied")]
    oldest = duration(inbox["oldest_seconds"])
    text = f"events not applied: {inbox['failed']}, the oldest for {oldest}"
    if inbox["given_up"]:
        text += f"; not tried again by themselves: {inbox['given_up']}"
    return [failed("inbox", text, "see `mpanel-billing events list --status failed`")]


async def look_at_backlog(pool: Pool) -> list[Finding]:
    """Look for work that is due and not taken."""
    async with acquired(pool) as conn:
        return [judge_backlog(dict(await repository.get_backlog(conn)))]


def judge_backlog(ages: Mapping[str, int | None]) -> Finding:
    """Judge by how many seconds the oldest of each kind is due."""
    late = {kind: age for kind, age in ages.items() if age is not None and age > LATE_SECONDS}
    if late:
        text = ", ".join(f"{_NOUNS[kind]} for {duration(age)}" for kind, age in late.items())
        return failed("queue", f"due and not done: {text}", "look at the worker and its log")
    oldest = max((age for age in ages.values() if age is not None), default=None)
    return ok("queue", "nothing waits" if oldest is None else f"oldest waits {duration(oldest)}")


async def look_at_worker(pool: Pool) -> list[Finding]:
    """Look for signs of life of a worker: its sweep of every minute, its connections."""
    async with acquired(pool) as conn:
        seen = await repository.get_worker(conn)
    return [judge_worker(seen["seen_seconds_ago"], seen["connections"])]


def judge_worker(seen_seconds_ago: int | None, connections: int) -> Finding:
    """Judge by when a worker last began or swept, and how many connections of workers there are."""
    advice = "start it: `pm2 start ecosystem.config.js`, or `mpanel-billing worker`"
    if seen_seconds_ago is None:
        return warning("worker", "none has ever run on this database", advice)
    text = f"gave its last sign of life {duration(seen_seconds_ago)} ago"
    if seen_seconds_ago > LATE_SECONDS:
        return failed("worker", text, advice)
    if not connections:
        return warning("worker", f"{text}, and none is connected now", advice)
    return ok("worker", text)


async def look_at_retention(pool: Pool) -> list[Finding]:
    """Look whether the hourly pruning comes to its end."""
    async with acquired(pool) as conn:
        rows = {row["subject"]: row for row in await list_prunings(conn)}
        now = await repository.get_clock(conn)
    pruned_at = rows[EVENT_PAYLOADS]["pruned_at"]
    if pruned_at is None:
        return [ok("retention", "nothing has been pruned yet")]
    ago = (now - pruned_at).total_seconds()
    if ago > PRUNING_LATE_SECONDS:
        text = f"old rows were last pruned {duration(ago)} ago"
        return [warning("retention", text, "the worker does it every hour: see its log")]
    return [ok("retention", f"old rows were pruned {duration(ago)} ago")]
