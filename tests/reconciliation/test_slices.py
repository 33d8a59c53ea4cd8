"""The slices of a run; no I/O."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from mpanel_billing.mirror.types import EVENT_TYPES, LISTED
from mpanel_billing.reconciliation.slices import EVENT_DAYS, cut, event_subjects, types_of

NOW = 1_790_000_000


@given(
    horizon=some.integers(0, NOW),
    subscriptions=some.integers(0, 10_000_000),
    since=some.none() | some.integers(1, NOW),
)
def test_the_ranges_of_a_list_cover_all_time_once(
    horizon: int, subscriptions: int, since: int | None
) -> None:
    slices = cut(now=NOW, horizon=horizon, subscriptions=subscriptions, since=since)
    for subject in LISTED:
        own = [s for s in slices if (s.step, s.subject) == ("compare", subject)]
        assert [s.part for s in own] == list(range(len(own)))
        assert 1 <= len(own) <= 16
        assert own[0].created_from == since
        assert own[-1].created_before is None
        assert all(a.created_before == b.created_from for a, b in pairwise(own))


def test_events_are_listed_as_far_back_as_stripe_keeps_them() -> None:
    for since, oldest in ((None, NOW - EVENT_DAYS * 86_400), (NOW - 60, NOW - 60)):
        slices = cut(now=NOW, horizon=0, subscriptions=0, since=since)
        replays = [s for s in slices if s.step == "replay"]
        assert {s.created_from for s in replays} == {oldest}


def test_every_event_type_is_listed_within_the_limit_per_request() -> None:
    listed = [types_of(subject) for subject in event_subjects()]
    assert sorted(type_ for types in listed for type_ in types) == sorted(EVENT_TYPES)
    assert all(0 < len(types) <= 20 for types in listed)
