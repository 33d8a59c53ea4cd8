"""The history of a subscription, in words: amounts, reasons, what was said then. Pure."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

from mpanel_billing.money import format_money

_BY_CAUSE = (
    *("order", "session", "charge", "warning", "dispute", "operator", "hold", "refund", "credit"),
    *("price", "tax", "pause", "event", "tenant", "driver", "message", "state"),
)
"""Kinds of entries, what causes another before it: Stripe's times are whole seconds."""
_PLACES: Mapping[str, int] = {kind: place for place, kind in enumerate(_BY_CAUSE)}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the zone of their times (None: UTC, which is said), and whether they see money."""

    zone: tzinfo | None = None
    sees_money: bool = True

    def day(self, seconds: float) -> str:
        """Return a day as they read it."""
        return f"{self._local(seconds):%Y-%m-%d}"

    def time(self, seconds: float) -> str:
        """Return a time as they read it."""
        said = f"{self._local(seconds):%Y-%m-%d %H:%M}"
        return said if self.zone else f"{said} UTC"

    def _local(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, self.zone or UTC)


EVERYTHING = Reader()


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An entry of the history; `detail` has amounts, reasons and the state, as far as known."""

    at: datetime
    kind: str
    what: str
    detail: str | None

    @property
    def id(self) -> UUID:
        """What tells it from the other entries of a story, for its reader."""
        said = f"{self.at.isoformat()}|{self.kind}|{self.what}"
        return UUID(bytes=hashlib.sha256(said.encode()).digest()[:16])


def in_order(entries: Iterable[TimelineEntry]) -> Sequence[TimelineEntry]:
    """Return entries oldest first; those of one second by cause."""
    return sorted(
        entries, key=lambda one: (one.at.replace(microsecond=0), _PLACES[one.kind], one.at)
    )


def read_entry(row: Mapping[str, Any], reader: Reader = EVERYTHING) -> TimelineEntry:
    """Return an entry: of an event with what it said, unless its payload has been pruned."""
    parts = [row["detail"], *_said(row["state"] or {}, reader)]
    detail = "; ".join(part for part in parts if part)
    return TimelineEntry(row["at"], row["kind"], row["what"], detail or None)


def _said(state: Mapping[str, Any], reader: Reader) -> Iterator[str]:
    """Return what an object was when the event was sent."""
    yield ", ".join(state[name] for name in ("status", "payment_status") if state.get(name))
    if reader.sees_money:
        yield state.get("private") or ""
    yield from _dates(state, reader)
    if reader.sees_money:
        yield from _amounts(state)
    if state.get("attempt_count"):
        yield f"attempts: {state['attempt_count']}"
    yield from _of_subscription(state, reader)
    words = [state[name] for name in ("cancellation", "feedback", "comment") if state.get(name)]
    if words:
        yield f"reason: {', '.join(words)}"
    if state.get("received"):
        yield f"received {reader.time(state['received'])}"


def _dates(state: Mapping[str, Any], reader: Reader) -> Iterator[str]:
    for name, write in (("dates", reader.day), ("times", reader.time)):
        for label, seconds in (state.get(name) or {}).items():
            if seconds is not None:
                yield f"{label} {write(seconds)}"


def _amounts(state: Mapping[str, Any]) -> Iterator[str]:
    currency, due = state.get("currency"), state.get("amount_due")
    if currency and due is not None:
        paid = format_money(state["amount_paid"], currency)
        yield f"paid {paid} of {format_money(due, currency)}"
    for name, amount in (state.get("amounts") or {}).items():
        if currency and (amount or not name):
            yield f"{name} {format_money(amount, currency)}".strip()


def _of_subscription(state: Mapping[str, Any], reader: Reader) -> Iterator[str]:
    if state.get("next_payment_attempt"):
        yield f"next on {reader.day(state['next_payment_attempt'])}"
    if state.get("period_end"):
        yield f"term to {reader.day(state['period_end'])}"
    before, after = state.get("items_before"), state.get("items")
    if before and after and before != after:
        yield f"from {', '.join(before)} to {', '.join(after)}"
    if state.get("to_plan"):
        yield f"to {state['to_plan']}"
    if state.get("cancel_at_period_end") or state.get("cancel_at"):
        ends = state.get("cancel_at")
        yield f"ends on {reader.day(ends)}" if ends else "will end"
