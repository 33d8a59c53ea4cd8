"""What a run says at its end."""

from tests.chaos.customers import REFUND
from tests.chaos.faults import Breaker
from tests.chaos.stage import Stage
from tests.chaos.verdict import Verdict


def report(stage: Stage, breaker: Breaker, verdict: Verdict, seconds: float) -> str:
    """Return the figures, and what is wrong."""
    road, customers = stage.road, stage.customers
    paid = [one for one in customers.bought if one.paid]
    orders = [
        f"{len(customers.bought)} orders",
        f"{len(paid)} paid",
        f"{sum(one.changes for one in paid)} changes of plan",
        f"{sum(one.ends or one.ended for one in paid)} cancelled",
        f"{sum(one.refunded for one in paid) // REFUND} refunds",
    ]
    lines = [
        f"took {seconds / 60:.1f} minutes",
        f"{road.sent} webhooks sent, {road.delivered} answered with 200",
        f"{len(road.acknowledged)} events in them; other answers: {_others(stage)}",
        f"{breaker.kills} kills, {breaker.others} other faults",
        f"PostgreSQL started {stage.database.starts} times more",
        f"its disks were full: {dict(stage.database.full)}",
        ", ".join(orders),
        f"failed requests: {stage.responses.failures()}",
        f"longest gap: {stage.responses.longest_gap():.1f} s",
        *(f"{count} {kind}" for kind, count in verdict.figures.items()),
        *_endings(stage),
    ]
    return "\n".join([*lines, *(f"PROBLEM {one}" for one in verdict.problems)])


def _others(stage: Stage) -> str:
    other = {status: count for status, count in stage.road.statuses.items() if status != 200}
    return ", ".join(f"{status or 'none'}: {count}" for status, count in sorted(other.items()))


def _endings(stage: Stage) -> list[str]:
    """Return how the processes of the service have ended by themselves, if they have."""
    return [
        f"{name} ended with {status}"
        for name, program in stage.programs.items()
        for status in program.endings
        if status != -9
    ]
