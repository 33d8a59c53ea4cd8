"""Reads what a person typed into a form. Pure."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from mpanel_billing.console.words import say
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.money import LARGEST_AMOUNT, decimals_of, format_money

MOST_DIGITS = 18
"""Of a number in an address or a form: it fits into a bigint."""

_AMOUNT = re.compile(r"([0-9]{1,12})(?:[.,]([0-9]{1,3}))?")


def read_amount(text: str, currency: str) -> int | None:
    """Return an amount in minor units, from major ones such as 12.50 or 12,50; None for nothing.

    InvalidRequestError for zero, and for what is no amount of the currency: thousands have no
    separator, so that no point can be read as two things.
    """
    if not text:
        return None
    match = _AMOUNT.fullmatch(text)
    decimals = decimals_of(currency)
    fraction = (match[2] or "") if match else ""
    if match is None or len(fraction) > decimals or not text.strip("0.,"):
        example = "500" if not decimals else f"12.{'50'.ljust(decimals, '0')}"
        raise InvalidRequestError(
            say("refusal.no_amount", text=text, currency=currency.upper(), example=example),
            fields={"amount": "is not an amount"},
        )
    minor = int(match[1] + fraction.ljust(decimals, "0"))
    if minor > LARGEST_AMOUNT:
        most = format_money(LARGEST_AMOUNT, currency)
        raise InvalidRequestError(
            say("refusal.too_much", most=most), fields={"amount": "is too much"}
        )
    return minor


def write_amount(minor: int, currency: str) -> str:
    """Return an amount as `read_amount` reads it."""
    decimals = decimals_of(currency)
    whole, fraction = divmod(minor, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}" if decimals else str(whole)


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
    """Return a whole number that a form of ours keeps.

    InvalidRequestError for any other text, which no form of ours has.
    """
    if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS:
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
