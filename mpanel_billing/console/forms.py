"""Reads what a person typed into a form. Pure."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from mpanel_billing.console.words import say
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.money import LARGEST_AMOUNT, decimals_of, to_decimal
from mpanel_billing.numbers import read_minor, write_money, write_plain

MOST_DIGITS = 18
"""Of a number in an address or a form: it fits into a bigint."""


def read_amount(text: str, currency: str, language: str) -> int | None:
    """Return an amount in minor units, from what the page writes or 12.50 or 12,50; None if empty.

    InvalidRequestError for zero, for what is no amount of the currency, and for what could be read
    as two things, such as 1,234.
    """
    if not text:
        return None
    minor = read_minor(text, currency, language)
    if not minor:
        example = write_amount(1250 if decimals_of(currency) else 500, currency, language)
        raise InvalidRequestError(
            say("refusal.no_amount", text=text, currency=currency.upper(), example=example),
            fields={"amount": "is not an amount"},
        )
    if minor > LARGEST_AMOUNT:
        most = write_money(LARGEST_AMOUNT, currency, language)
        raise InvalidRequestError(
            say("refusal.too_much", most=most), fields={"amount": "is too much"}
        )
    return minor


def write_amount(minor: int, currency: str, language: str) -> str:
    """Return an amount as `read_amount` reads it."""
    return write_plain(to_decimal(minor, currency), language)


def read_day(text: str, zone: ZoneInfo, *, is_start: bool = False) -> datetime:
    """Return the last second of a day in a zone, or its first, as a time in UTC.

    InvalidRequestError for what is no day, and for one that UTC cannot tell.
    """
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone)
        moment = day if is_start else day.replace(hour=23, minute=59, second=59)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequestError(
            say("refusal.no_date"), fields={"ends": "is not a date"}
        ) from None


def read_hidden_number(text: str) -> int:
    """Return a whole number that a form of ours keeps, which may be negative.

    InvalidRequestError for any other text, which no form of ours has.
    """
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS:
        return int(text)
    raise InvalidRequestError(say("refusal.start_again"))


def read_hidden_time(text: str) -> datetime:
    """Return a time that a form of ours keeps, with its zone, in UTC.

    InvalidRequestError for any other, which no form of ours has.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidRequestError(say("refusal.start_again"))
