from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mpanel_billing.console.forms import read_amount, read_day, read_hidden_time, write_amount
from mpanel_billing.console.zones import find_zone, zone_of
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.languages import LANGUAGES
from mpanel_billing.numbers import rewrite_money, write_money, write_number, write_plain


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "usd", 1250),
        ("12,5", "eur", 1250),
        ("12", "usd", 1200),
        ("0.01", "usd", 1),
        ("500", "jpy", 500),
        ("1,234.00", "usd", 123400),
        ("1.250,00", "eur", 125000),
        ("1.250,00 €", "eur", 125000),
        ("$5", "usd", 500),
        ("123.456,7", "kwd", None),
        ("1.234,567 KWD", "kwd", 1234567),
        ("", "usd", None),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_amount_is_read_exactly(text, currency, minor, language):
    if text and minor is None:
        with pytest.raises(InvalidRequestError):
            read_amount(text, currency, language)
        return
    assert read_amount(text, currency, language) == minor
    if minor is not None:
        assert read_amount(write_amount(minor, currency, language), currency, language) == minor
        assert read_amount(write_money(minor, currency, language), currency, language) == minor


@pytest.mark.parametrize(
    ("language", "text", "currency", "minor"),
    [
        ("en", "1.250", "kwd", 1250),
        ("de", "1,250", "kwd", 1250),
        ("en", "1,500", "jpy", 1500),
        ("de", "1.500 ¥", "jpy", 1500),
        ("de", "1.500.000", "jpy", 1500000),
    ],
)
def test_what_a_page_writes_is_read_and_the_same_in_another_language_refused(
    language, text, currency, minor
):
    assert read_amount(text, currency, language) == minor
    (other,) = LANGUAGES.keys() - {language}
    with pytest.raises(InvalidRequestError):
        read_amount(text, currency, other)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1,250", "usd"),
        ("1.250", "usd"),
        ("1.250,5", "usd"),
        ("1,250,00", "eur"),
        ("1.250.00", "eur"),
        ("12.50,00", "eur"),
        ("1250.00,00", "eur"),
        ("1.2500,00", "eur"),
        ("-5", "usd"),
        ("5 €", "usd"),
        ("A$5", "usd"),
        ("1.5", "jpy"),
        ("1e3", "usd"),
        ("0", "usd"),
        ("0,00", "eur"),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_could_be_read_in_two_ways_and_nothing_at_all_is_refused(text, currency, language):
    with pytest.raises(InvalidRequestError, match="is not an amount") as refused:
        read_amount(text, currency, language)
    example = refused.value.message.values["example"]
    assert read_amount(example, currency, language)
    assert ("," in example) == (language == "de" and currency != "jpy")


def test_more_than_stripe_takes_is_refused():
    assert read_amount("999999.99", "usd", "en") == 99_999_999
    with pytest.raises(InvalidRequestError, match=r"at most \$999,999.99"):
        read_amount("1000000", "usd", "en")


def test_numbers_are_written_as_in_a_language():
    assert write_money(-123456, "eur", "de") == "-1.234,56 €"
    assert write_money(1500, "jpy", "de") == "1.500 ¥"
    assert write_money(123456, "eur", "en") == "€1,234.56"
    assert (write_number(1234.56, "de", 1), write_number(1234, "en")) == ("1.234,6", "1,234")
    assert write_plain(33.3, "de") == "33,3"


@pytest.mark.parametrize(
    ("text", "german"),
    [
        ("at most $1,234.50 of €7", "at most 1.234,50 $ of 7 €"),
        ("paid CA$5.00, then -¥1,500.", "paid 5,00 CA$, then -1.500 ¥."),
        ("1,234.500 KWD (in_1)", "1.234,500 KWD (in_1)"),
        ("HTTP 503, 12 TRY? 3 ABC", "HTTP 503, 12 TRY? 3 ABC"),
        ("10.0.0.1 v1.2.3 in_1$5x", "10.0.0.1 v1.2.3 in_1$5x"),
    ],
)
def test_amounts_in_a_text_of_a_service_are_rewritten_and_nothing_else(text, german):
    assert rewrite_money(text, "de") == german
    assert rewrite_money(text, "en") == text


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
