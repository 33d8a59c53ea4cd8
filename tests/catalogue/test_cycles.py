import pytest

from mpanel_billing.catalogue.cycles import BILLING_CYCLES, canonical_cycle, cycle_of_interval
from mpanel_billing.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("word", "canonical"),
    [
        *((cycle, cycle) for cycle in BILLING_CYCLES),
        ("yearly", "annually"),
        ("annual", "annually"),
        ("oneYear", "annually"),
        ("biennial", "biennially"),
        ("twoYears", "biennially"),
        ("triennial", "triennially"),
        ("threeYears", "triennially"),
        (" Monthly ", "monthly"),
    ],
)
def test_every_word_that_clients_use_for_a_term_is_known(word: str, canonical: str) -> None:
    assert canonical_cycle(word) == canonical


@pytest.mark.parametrize("word", ["fortnightly", "", "month", "x" * 1000])
def test_an_unknown_term_is_named_with_the_known_ones(word: str) -> None:
    with pytest.raises(InvalidRequestError, match="monthly, quarterly, semi-annually") as caught:
        canonical_cycle(word)
    assert f'"{word[:40]}"' in caught.value.message
    assert caught.value.code == "unknown_cycle"
    assert set(caught.value.fields or {}) == {"billingCycle"}


def test_stripes_intervals_last_as_long_as_the_terms() -> None:
    for cycle in BILLING_CYCLES.values():
        months_of_interval = {"month": 1, "year": 12}[cycle.interval]
        assert months_of_interval * cycle.interval_count == cycle.months
        assert cycle.months <= 36, "Stripe's longest interval is three years"


def test_stripes_interval_leads_back_to_the_term() -> None:
    for cycle in BILLING_CYCLES.values():
        assert cycle_of_interval(cycle.interval, cycle.interval_count) == cycle.code
    assert cycle_of_interval("month", 12) == "annually"
    assert cycle_of_interval("week", 1) is None
    assert cycle_of_interval("month", 5) is None
