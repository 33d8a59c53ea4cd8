from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mpanel_billing.console.forms import read_amount, read_day, read_hidden_time, write_amount
from mpanel_billing.console.zones import find_zone, zone_of
from mpanel_billing.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "usd", 1250),
        ("12,5", "eur", 1250),
        ("12", "usd", 1200),
        ("0.01", "usd", 1),
        ("500", "jpy", 500),
        ("1.250", "kwd", 1250),
        ("", "usd", None),
    ],
)
def test_an_amount_is_read_exactly(text, currency, minor):
    assert read_amount(text, currency) == minor
    if minor is not None:
        assert read_amount(write_amount(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1,250", "usd"),
        ("1.250,00", "eur"),
        ("-5", "usd"),
        ("5 $", "usd"),
        ("1.5", "jpy"),
        ("1e3", "usd"),
        ("0", "usd"),
        ("0,00", "eur"),
    ],
)
def test_what_could_be_read_in_two_ways_and_nothing_at_all_is_refused(text, currency):
    with pytest.raises(InvalidRequestError, match="is not an amount"):
        read_amount(text, currency)


def test_more_than_stripe_takes_is_refused():
    assert read_amount("999999.99", "usd") == 99_999_999
    with pytest.raises(InvalidRequestError, match=r"at most \$999,999.99"):
        read_amount("1000000", "usd")


def test_a_day_begins_and_ends_in_the_zone_of_the_person():
    assert read_day("2027-01-31", ZoneInfo("Europe/Berlin")) == datetime(
        2027, 1, 31, 22, 59, 59, tzinfo=UTC
    )
    assert read_day("2027-01-31", ZoneInfo("Europe/Berlin"), is_start=True) == datetime(
        2027, 1, 30, 23, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("31.01.2027", "UTC"),
        ("2027-02-29", "UTC"),
        ("2027-01-31T10:00", "UTC"),
        ("2027-01-31T10:00+02:00", "UTC"),
        ("0001-01-01", "Europe/Berlin"),
        ("9999-12-31", "America/New_York"),
    ],
)
def test_what_is_no_day_is_refused(text, zone):
    with pytest.raises(InvalidRequestError, match="a date like"):
        read_day(text, ZoneInfo(zone), is_start=text.startswith("0001"))


def test_a_hidden_time_is_read_with_its_zone():
    moment = datetime(2027, 1, 31, 22, 30, 0, 5, tzinfo=UTC)
    berlin = moment.astimezone(ZoneInfo("Europe/Berlin"))
    assert read_hidden_time(moment.isoformat()) == read_hidden_time(berlin.isoformat()) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2027-01-31T10:00:00", "0001-01-01T00:00:00+14:00", "2027-01-31"]
)
def test_a_hidden_time_that_is_not_ours_is_refused(text):
    with pytest.raises(InvalidRequestError, match="start again"):
        read_hidden_time(text)


@pytest.mark.parametrize("name", ["../etc/passwd", "Europe", "", "No/Where", "a" * 200, "/UTC"])
def test_what_is_no_zone_is_utc(name):
    assert find_zone(name) is None
    assert zone_of(name).key == "UTC"
