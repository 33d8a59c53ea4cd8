"""The history of a subscription, in words: amounts, reasons, what was said then. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.money import format_money


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An entry of the history; `detail` has amounts, reasons and the state, as far as known."""

    at: datetime
    kind: str
    what: str
    detail: str | None


def read_entry(row: Mapping[str, Any]) -> TimelineEntry:
    """Return an entry: of an event with what it said, unless its payload has been pruned."""
    parts = [row["detail"], *_said(row["state"] or {})]
    detail = "; ".join(part for part in parts if part)
    return TimelineEntry(row["at"], row["kind"], row["what"], detail or None)


def _said(state: Mapping[str, Any]) -> Iterator[str]:
    """Return what an object was when the event was sent."""
    yield ", ".join(state[name] for name in ("status", "payment_status") if state.get(name))
    currency, due = state.get("currency"), state.get("amount_due")
    if currency and due is not None:
        paid = format_money(state["amount_paid"], currency)
        yield f"paid {paid} of {format_money(due, currency)}"
    for name, amount in (state.get("amounts") or {}).items():
        if currency and (amount or not name):
            yield f"{name} {format_money(amount, currency)}".strip()
    if state.get("attempt_count"):
        yield f"attempts: {state['attempt_count']}"
    if state.get("next_payment_attempt"):
        yield f"next on {_day(state['next_payment_attempt'])}"
    if state.get("period_end"):
        yield f"term to {_day(state['period_end'])}"
    if state.get("cancel_at_period_end") or state.get("cancel_at"):
        yield "will end" if not state.get("cancel_at") else f"ends on {_day(state['cancel_at'])}"
    words = [state[name] for name in ("cancellation", "feedback", "comment") if state.get(name)]
    if words:
        yield f"reason: {', '.join(words)}"


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
