"""Money is integer minor units, and texts for people show them exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing import money

CURRENCIES = st.sampled_from(sorted(money.STRIPE_CURRENCIES))
MINOR = st.integers(min_value=-(10**18), max_value=10**18)


@pytest.mark.parametrize(
    ("minor", "currency", "major"),
    [
        (1299, "usd", "12.99"),
        (1299, "USD", "12.99"),
        (5, "eur", "0.05"),
        (0, "usd", "0.00"),
        (-150, "gbp", "-1.50"),
        (500, "jpy", "500"),
        (1250, "kwd", "1.250"),
        (500, "isk", "5.00"),
        (500, "ugx", "5.00"),
        (700, "mga", "700"),
    ],
)
def test_an_amount_in_major_units_has_the_decimals_of_its_currency(
    minor: int, currency: str, major: str
) -> None:
    assert str(money.to_decimal(minor, currency)) == major


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1299, "usd", "$12.99"),
        (0, "usd", "$0.00"),
        (123456789, "usd", "$1,234,567.89"),
        (-150, "gbp", "-£1.50"),
        (1500, "jpy", "¥1,500"),
        (1250, "kwd", "1.250 KWD"),
        (99900, "chf", "999.00 CHF"),
    ],
)
def test_people_read_an_amount_as_they_are_used_to(minor: int, currency: str, text: str) -> None:
    assert money.format_money(minor, currency) == text


@given(minor=MINOR, currency=CURRENCIES)
def test_no_unit_is_lost_on_the_way_to_major_units(minor: int, currency: str) -> None:
    major = money.to_decimal(minor, currency)
    sign, digits, exponent = major.as_tuple()
    assert exponent == -money.decimals_of(currency)
    assert (-1) ** sign * int("".join(map(str, digits))) == minor


@given(minor=MINOR, currency=CURRENCIES)
def test_the_text_of_an_amount_reads_back_as_the_same_amount(minor: int, currency: str) -> None:
    text = money.format_money(minor, currency)
    digits = "".join(character for character in text if character.isdigit() or character in ".-")
    assert Decimal(digits) == money.to_decimal(minor, currency)


@given(amount=st.decimals(-(10**9), 10**9, places=4), currency=CURRENCIES)
def test_rounding_moves_an_amount_by_half_a_step_at_most(amount: Decimal, currency: str) -> None:
    step = money.smallest_step(currency)
    rounded = money.round_to_step(amount, currency)
    assert rounded % step == 0
    assert abs(rounded - amount) <= Decimal(step) / 2


def test_half_a_unit_is_rounded_up() -> None:
    assert money.round_to_step(Decimal("119.5"), "usd") == 120
    assert money.round_to_step(Decimal("119.4"), "usd") == 119
    assert money.round_to_step(Decimal(150), "isk") == 200
    assert money.round_to_step(Decimal(1255), "kwd") == 1260


def test_every_special_currency_is_one_that_stripe_charges_in() -> None:
    special = money.ZERO_DECIMAL | money.THREE_DECIMAL | money.WHOLE_UNITS_IN_HUNDREDTHS
    assert special <= money.STRIPE_CURRENCIES
    assert not money.ZERO_DECIMAL & money.THREE_DECIMAL


@given(minor=st.integers(0, 10**12), currency=CURRENCIES)
def test_what_is_rounded_down_can_be_charged_and_is_less_than_a_step_below(
    minor: int, currency: str
) -> None:
    step, floor = money.smallest_step(currency), money.floor_to_step(minor, currency)
    assert floor % step == 0
    assert 0 <= minor - floor < step
