"""Which of two snapshots is newer: by example, and as a property over whole histories."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpanel_billing.mirror.ordering import Decision, Kind, Version, order

EXAMPLES = int(os.environ.get("CONVERGENCE_EXAMPLES", "150"))

T = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def version(at: int = 0, event: str | None = "evt_a", **more: Any) -> Version:
    """Return the version of an event at T plus `at` seconds."""
    moment = T + at * SECOND
    return Version(since=moment, as_of=moment, event_id=event)._replace(**more)


def updated(event: str, content: dict[str, Any], previous: dict[str, Any]) -> Version:
    return version(0, event, kind=Kind.UPDATED, content=content, previous=previous)


def test_the_first_snapshot_is_applied() -> None:
    assert order(None, version()) is Decision.APPLY


def test_a_later_second_wins_and_an_earlier_one_is_stale() -> None:
    assert order(version(0), version(1, "evt_b")) is Decision.APPLY
    assert order(version(1), version(0, "evt_b")) is Decision.STALE


def test_the_same_event_is_stale() -> None:
    assert order(version(), version()) is Decision.STALE


def test_within_a_second_a_final_state_wins() -> None:
    assert order(version(), version(event="evt_b", final=True)) is Decision.APPLY
    assert order(version(final=True), version(event="evt_b")) is Decision.STALE


def test_within_a_second_created_comes_before_updated_before_deleted() -> None:
    created, changed, deleted = (version(0, f"evt_{kind.name}", kind=kind) for kind in Kind)
    assert order(created, changed) is Decision.APPLY
    assert order(changed, created) is Decision.STALE
    assert order(changed, deleted) is Decision.APPLY


def test_within_a_second_the_invoice_that_is_further_along_wins() -> None:
    once, twice = version(progress=(1, 1, 0)), version(event="evt_b", progress=(1, 2, 0))
    assert order(once, twice) is Decision.APPLY
    assert order(twice, once) is Decision.STALE


def test_an_update_that_follows_what_is_stored_is_shown_and_verified() -> None:
    first = updated("evt_a", {"plan": "b"}, {"plan": "a"})
    second = updated("evt_b", {"plan": "c"}, {"plan": "b"})
    assert order(first, second) is Decision.APPLY_AND_REFETCH
    assert order(second, first) is Decision.REFETCH


def test_a_return_to_the_earlier_state_within_a_second_is_never_decided_by_events_alone() -> None:
    """A -> B -> C -> A: the first update follows the last state as well as the first."""
    to_b = updated("evt_1", {"plan": "b"}, {"plan": "a"})
    to_a = updated("evt_3", {"plan": "a"}, {"plan": "c"})
    assert order(to_a, to_b).needs_refetch


def test_nested_previous_attributes_are_merged_into_the_nested_object() -> None:
    first = updated("evt_a", {"metadata": {"a": "1", "b": "2"}}, {"metadata": {"b": None}})
    second = updated("evt_b", {"metadata": {"a": "9", "b": "2"}}, {"metadata": {"a": "1"}})
    assert order(first, second) is Decision.APPLY_AND_REFETCH


@pytest.mark.parametrize(
    ("at", "expected"),
    [(-2, Decision.STALE), (-1, Decision.REFETCH), (0, Decision.REFETCH), (1, Decision.APPLY)],
)
def test_an_event_from_the_time_of_a_fetch_is_undecided(at: int, expected: Decision) -> None:
    fetched = Version(since=T - SECOND, as_of=T)
    assert order(fetched, version(at)) is expected


def test_a_fetch_replaces_what_was_stored_before_it_whatever_the_clocks_say() -> None:
    stored = version(3600)
    fetched = Version(since=T - SECOND, as_of=T, read_after=stored.key)
    assert order(stored, fetched) is Decision.APPLY
    assert order(version(3601, "evt_b"), fetched) is Decision.STALE


@pytest.mark.parametrize("further", [{"final": True}, {"progress": (2,)}], ids=str)
def test_what_has_come_further_and_is_dated_earlier_is_dated_by_another_clock(
    further: dict[str, Any],
) -> None:
    stored, earlier = version(1, progress=(1,)), version(0, "evt_b", progress=(1,))
    assert order(stored, earlier) is Decision.STALE
    assert order(stored, earlier._replace(**further)) is Decision.REFETCH


@pytest.mark.parametrize("days", [-200, 0, 200])
def test_by_a_test_clock_an_event_and_a_fetch_are_not_compared_by_their_dates(days: int) -> None:
    fetched = Version(since=T - SECOND, as_of=T, test_clock=True)
    event = version(days * 86_400, kind=Kind.UPDATED, test_clock=True)
    assert order(fetched, event) is Decision.REFETCH
    assert order(event, fetched) is Decision.REFETCH
    assert order(fetched, event._replace(final=True)) is Decision.APPLY
    assert order(event._replace(final=True), fetched) is Decision.STALE
    assert order(event, fetched._replace(read_after=event.key)) is Decision.APPLY


def test_by_a_test_clock_events_are_compared_by_their_dates() -> None:
    first, later = version(0, test_clock=True), version(1, "evt_b", test_clock=True)
    assert order(first, later) is Decision.APPLY
    assert order(later, first) is Decision.STALE


@dataclass
class Stripe:
    """One object's history: its states, and the event that each change made."""

    now: int = 0
    state: str = "a"
    events: list[Version] = field(default_factory=list)

    def change(self, state: str) -> None:
        previous, self.state = self.state, state
        kind = Kind.UPDATED if self.events else Kind.CREATED
        self.events.append(
            version(
                self.now,
                f"evt_{len(self.events)}",
                kind=kind,
                content={"state": state},
                previous={"state": previous} if kind is Kind.UPDATED else None,
            )
        )


@dataclass
class Mirror:
    """A mirror of the object that applies events and fetches by the rules."""

    stored: Version | None = None
    wanted: bool = False

    def receive(self, incoming: Version) -> None:
        decision = order(self.stored, incoming)
        self.wanted |= decision.needs_refetch
        if decision.applies:
            floor = self.stored.as_of if self.stored else incoming.since
            self.stored = incoming._replace(
                since=max(incoming.since, floor), as_of=max(incoming.as_of, floor)
            )


def fetched(stripe: Stripe, mirror: Mirror, started: int) -> Version:
    return Version(
        since=T + (started - 1) * SECOND,
        as_of=T + stripe.now * SECOND,
        content={"state": stripe.state},
        read_after=mirror.stored.key if mirror.stored else None,
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from("abc")),
        st.tuples(st.just("tick"), st.integers(1, 2)),
        st.tuples(st.just("deliver"), st.integers(0, 20)),
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.just("answer"), st.just(0)),
    ),
    max_size=40,
)


@given(steps=STEPS, rest=st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_order_of_events_and_fetches_ends_with_the_latest_state(
    steps: list[tuple[str, Any]], rest: Any
) -> None:
    stripe, mirror = Stripe(), Mirror()
    stripe.change("a")
    under_way: Version | None = None
    for action, value in steps:
        if action == "change":
            stripe.change(value)
        elif action == "tick":
            stripe.now += value
        elif action == "deliver":
            mirror.receive(stripe.events[value % len(stripe.events)])
        elif action == "ask" and under_way is None:
            under_way = fetched(stripe, mirror, stripe.now)
        elif action == "answer" and under_way is not None:
            # the response arrives late, after what has happened since it was read
            mirror.wanted = False
            mirror.receive(under_way)
            under_way = None
    remaining = [*stripe.events, *stripe.events]
    rest.shuffle(remaining)
    for event in remaining:
        mirror.receive(event)
    while mirror.wanted:
        mirror.wanted = False
        mirror.receive(fetched(stripe, mirror, stripe.now))
    assert mirror.stored is not None
    assert mirror.stored.content == {"state": stripe.state}
