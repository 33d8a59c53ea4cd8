"""The background work: inbox, trouble, queue, worker, retention."""

from collections.abc import Mapping, Sequence

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.doctor.finding import Finding, duration, failed, ok, some, warning
from mpanel_billing.money import format_money
from mpanel_billing.provisioning.drivers.registry import list_unmade
from mpanel_billing.retention.repository import EVENT_PAYLOADS, list_prunings
from mpanel_billing.revenue.folding import find_wrong_totals
from mpanel_billing.settings import Settings

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


SERVICE_FAULTS = frozenset(
    {
        "not_provisioned",
        "provisioning_failed",
        "service_missing",
        "active_after_end",
        "work_failed",
        "event_failed",
        "refetch_failed",
        "invoice_unlinked",
        "subscription_unmirrored",
        "request_unfinished",
        "drift",
        "server_left",
        "server_failing",
        "move_failed",
    }
)
"""The kinds of trouble in which something here does not work; others are a customer's."""


async def check_trouble(pool: Pool) -> list[Finding]:
    """Check for what a person must act on."""
    async with acquired(pool) as conn:
        rows = await repository.count_trouble(conn)
    return [judge_trouble([(row["trouble"], row["number"], row["oldest_seconds"]) for row in rows])]


def judge_trouble(kinds: Sequence[tuple[str, int, float | None]]) -> Finding:
    """Judge kind, number and age in seconds of the rows of billing_trouble."""
    if not kinds:
        return ok("trouble", "billing_trouble is empty")
    named = [f"{kind}: {number}, for {duration(age or 0)}" for kind, number, age in kinds]
    advice = "read `SELECT * FROM billing_trouble`; docs/operations.md says what settles each kind"
    judge = failed if SERVICE_FAULTS.intersection(kind for kind, _, _ in kinds) else warning
    return judge("trouble", some(named), advice)


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


async def check_announced_prices(pool: Pool) -> list[Finding]:
    """Check that the prices that customers were told of are on sale."""
    async with acquired(pool) as conn:
        unsold = await repository.list_unsold_announced(conn)
    if not unsold:
        return [ok("announced prices", "each is on sale")]
    named = [f"{price} to {count} subscriptions" for price, count in unsold.items()]
    return [
        warning(
            "announced prices",
            f"announced, and no longer sold, so they are never charged: {some(named)}",
            "call them off with `mpanel-billing catalog migrate-prices ... --withdraw`",
        )
    ]


async def check_product_types(pool: Pool, settings: Settings) -> list[Finding]:
    """Check that a service makes each type of account that is on sale."""
    async with acquired(pool) as conn:
        sold = await repository.list_sold_types(conn)
    name = "product types"
    if unmade := list_unmade(settings, sold):
        text = f"on sale, and made by no service: {some(unmade)}; their orders are only logged"
        advice = (
            "name their services in PROVISIONING_SERVICES (for what is made by hand, "
            '{"driver": "log"}), or take the products off sale'
        )
        return [warning(name, text, advice)]
    if not settings.provisioning_services:
        return [ok(name, "accounts are only logged: this is test mode, without services")]
    return [ok(name, f"a service makes each: {some(sold)}")]


async def check_movements(pool: Pool) -> list[Finding]:
    """Check that the kept movements of the revenue add up to it."""
    wrong = [
        f"{format_money(row['amount'], row['currency'])} by {row['of']},"
        f" of {format_money(row['true_amount'], row['currency'])}"
        for row in await find_wrong_totals(pool)
    ]
    if not wrong:
        return [ok("movements", "they add up to the revenue")]
    advice = (
        "see `mpanel-billing figures check`, then run `mpanel-billing figures rebuild`; if it"
        " finds nothing, have the revenue counted again (docs/operations.md: what not to change by"
        " hand)"
    )
    return [failed("movements", f"they add up to {some(wrong)}", advice)]
