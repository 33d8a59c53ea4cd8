"""The pure parts: money, periods, cards, forms, params."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe.params import CustomerCreateParams, SubscriptionUpdateParams

from stripe_sandbox.billing.periods import add_interval, period_end
from stripe_sandbox.cards import passes_luhn
from stripe_sandbox.errors import ApiError
from stripe_sandbox.money import format_amount, percent_of, split_amount
from stripe_sandbox.params import check_params, decode_form

JANUARY_31 = 1_769_817_600
DAY = 86_400


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (1299, "usd", "$12.99"),
        (-250, "eur", "-€2.50"),
        (1300, "jpy", "¥1,300"),
        (1250, "bhd", "BHD 1.250"),
    ],
)
def test_amounts_are_shown_with_the_decimals_of_their_currency(amount, currency, shown):
    assert format_amount(amount, currency) == shown


def test_a_percentage_is_rounded_half_up():
    assert [percent_of(amount, 10) for amount in (1294, 1295, 1296)] == [129, 130, 130]
    assert percent_of(1000, 33.333) == 333


@settings(deadline=None)
@given(st.integers(0, 10**8), st.lists(st.integers(0, 10**8), min_size=1, max_size=9))
def test_the_parts_of_a_split_add_up_to_the_whole(total, weights):
    parts = split_amount(total, weights)
    assert sum(parts) == (total if sum(weights) else 0)
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if not weight)


def test_months_keep_the_day_of_the_anchor_where_they_have_it():
    days = [(add_interval(JANUARY_31, "month", n) - JANUARY_31) // DAY for n in range(4)]
    assert days == [0, 28, 59, 89]
    assert add_interval(JANUARY_31, "year", 1) == JANUARY_31 + 365 * DAY
    assert add_interval(JANUARY_31, "week", 2) == JANUARY_31 + 14 * DAY


@settings(deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 12))
def test_a_period_ends_after_its_start(anchor, interval, count):
    end = period_end(anchor, anchor, interval, count)
    assert end > anchor
    assert period_end(anchor, end, interval, count) > end


def test_the_check_digit_of_a_card_is_checked():
    assert passes_luhn("4242424242424242")
    assert not passes_luhn("4242424242424241")


def test_a_form_is_decoded_into_what_it_means():
    pairs = [("items[1][price]", "b"), ("items[0][price]", "a"), ("expand[]", "x")]
    pairs += [("expand[]", "y"), ("metadata[0]", "zero"), ("trial_end", "now")]
    assert check_params(decode_form(pairs), SubscriptionUpdateParams) == {
        "items": [{"price": "a"}, {"price": "b"}],
        "expand": ["x", "y"],
        "metadata": {"0": "zero"},
        "trial_end": "now",
    }


def test_a_name_is_a_value_or_a_container_but_not_both():
    with pytest.raises(ApiError, match="conflicting"):
        decode_form([("a", "1"), ("a[b]", "2")])


def test_of_two_alternatives_the_error_of_the_nearer_one_is_reported():
    with pytest.raises(ApiError) as refused:
        check_params({"address": {"moon": "x"}}, CustomerCreateParams)
    assert refused.value.body["error"]["param"] == "address[moon]"


def test_values_leave_in_the_types_that_are_declared():
    params = check_params(
        decode_form(
            [("proration_date", "5"), ("off_session", "true"), ("application_fee_percent", "2.5")]
        ),
        SubscriptionUpdateParams,
    )
    assert params == {
        "proration_date": 5,
        "off_session": True,
        "application_fee_percent": 2.5,
    }
