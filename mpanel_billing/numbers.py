"""How numbers and amounts are written in each language. Pure.

What a program reads, such as CSV, is the same in all of them, and not written here.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from mpanel_billing.money import STRIPE_CURRENCIES, SYMBOLS, decimals_of, format_money, to_decimal


class Signs(NamedTuple):
    """What stands between groups of three digits, and before the decimals."""

    group: str
    point: str


_ENGLISH = Signs(",", ".")
SIGNS: Mapping[str, Signs] = {"en": _ENGLISH, "de": Signs(".", ",")}

_GROUP = 3
"""Digits of a group."""

_SYMBOL = "|".join(re.escape(one) for one in sorted(SYMBOLS.values(), key=len, reverse=True))
_NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?"
_MONEY = re.compile(
    rf"(?<![\w.,-])(-?)(?:({_SYMBOL})({_NUMBER})|({_NUMBER}) ([A-Z]{{3}}))(?![\w]|[.,][0-9])"
)


def write_number(value: float | Decimal, language: str, decimals: int = 0) -> str:
    """Return a number with its groups: 1,234.5, or 1.234,5."""
    return _swapped(f"{value:,.{decimals}f}", language)


def write_plain(value: object, language: str) -> str:
    """Return a number as it is, without groups: 12.5, or 12,5."""
    return str(value).replace(".", SIGNS[language].point)


def write_money(minor: int, currency: str, language: str) -> str:
    """Return an amount: $1,234.56, or 1.234,56 $."""
    if SIGNS[language] == _ENGLISH:
        return format_money(minor, currency)
    unit = SYMBOLS.get(currency.lower(), currency.upper())
    return f"{_swapped(f'{to_decimal(minor, currency):,f}', language)} {unit}"


def rewrite_money(text: str, language: str) -> str:
    """Return a text of a service with its amounts, which are as in English, as in a language."""
    if SIGNS[language] == _ENGLISH:
        return text
    return _MONEY.sub(lambda found: _rewritten(found, language), text)


def _rewritten(found: re.Match[str], language: str) -> str:
    minus, symbol, before, after, code = found.groups()
    if code and code.lower() not in STRIPE_CURRENCIES:
        return found[0]
    return f"{minus}{_swapped(before or after, language)} {symbol or code}"


def _swapped(text: str, language: str) -> str:
    signs = SIGNS[language]
    return text.translate(str.maketrans(",.", signs.group + signs.point))


def read_minor(text: str, currency: str, language: str) -> int | None:
    """Return an amount in minor units; None for what is no amount, or could be read as two things.

    Decimals may have a point or a comma, but three of them only as the language writes them: else
    they would look like thousands. Groups of thousands need the other sign before the decimals, or
    a currency without decimals.
    """
    decimals = decimals_of(currency)
    found = _reading(_without_unit(text, currency), decimals, SIGNS[language])
    return int(found[0] + found[1].ljust(decimals, "0")) if found else None


def _reading(text: str, decimals: int, signs: Signs) -> tuple[str, str] | None:
    """Return the whole of a text and its decimals."""
    fraction = rf"(?:([.,])([0-9]{{1,{decimals}}}))?" if decimals else "()()"
    if plain := re.fullmatch(rf"([0-9]{{1,12}}){fraction}", text):
        whole, point, after = plain.groups("")
        looks_grouped = len(after) == _GROUP and point != signs.point
        return None if looks_grouped else (whole, after)
    for group, point in SIGNS.values():
        end = rf"{re.escape(point)}([0-9]{{{decimals}}})" if decimals else "()"
        grouped = rf"([0-9]{{1,3}}(?:{re.escape(group)}[0-9]{{3}}){{1,3}}){end}"
        if (decimals or group == signs.group) and (found := re.fullmatch(grouped, text)):
            return found[1].replace(group, ""), found[2]
    return None


def _without_unit(text: str, currency: str) -> str:
    """Return a text without the unit of its currency, as the pages write it."""
    for unit in (SYMBOLS.get(currency.lower()), currency.upper()):
        if unit:
            text = text.removeprefix(unit).removesuffix(unit)
    return text.strip()
