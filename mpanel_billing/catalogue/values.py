"""What a value of a catalogue file may be."""

import re
from collections.abc import Sized
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from mpanel_billing import money
from mpanel_billing.catalogue.cycles import BILLING_CYCLES

ItemT = TypeVar("ItemT")
SizedT = TypeVar("SizedT", bound=Sized)


def _is_cycle(text: str) -> str:
    if text not in BILLING_CYCLES:
        msg = f"{text!r} is not a billing cycle; use one of: {', '.join(BILLING_CYCLES)}"
        raise ValueError(msg)
    return text


def _is_currency(text: str) -> str:
    if text not in money.STRIPE_CURRENCIES:
        msg = f"{text!r} is not a currency of Stripe; use an ISO code in lower case, such as usd"
        raise ValueError(msg)
    return text


def is_not_empty(items: SizedT) -> SizedT:
    """Return what has items; ValueError."""
    # not min_length: pydantic calls a list too short when its items are invalid
    if not items:
        msg = "must not be empty"
        raise ValueError(msg)
    return items


def _read_unit_amount(value: object) -> object:
    """Take a whole number, or text for a fraction: what TOML calls a float is not exact."""
    if isinstance(value, str) and _FRACTION.fullmatch(value):
        return Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    msg = (
        f'must be minor units, a fraction of them in quotes ("0.5" for half a cent), not {value!r}'
    )
    raise ValueError(msg)


_FRACTION = re.compile(r"[0-9]{1,8}(\.[0-9]{1,12})?")
"""Stripe takes twelve decimals."""

Many = Annotated[tuple[ItemT, ...], Field(strict=False)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]
Tld = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$", max_length=56)]
CouponCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9_-]*$", max_length=63)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=50)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=250, strip_whitespace=True)]
Amount = Annotated[int, Field(ge=0, le=money.LARGEST_AMOUNT)]
Sum = Annotated[int, Field(gt=0, le=money.LARGEST_AMOUNT)]
Limit = Annotated[int, Field(gt=0, le=2**31 - 1)]
UnitAmount = Annotated[
    Decimal, BeforeValidator(_read_unit_amount), Field(ge=0, le=money.LARGEST_AMOUNT)
]
Currency = Annotated[str, AfterValidator(_is_currency)]
Cycle = Annotated[str, AfterValidator(_is_cycle)]
CyclePrices = Annotated[dict[Cycle, Amount], AfterValidator(is_not_empty)]
TaxCode = Annotated[str, StringConstraints(pattern=r"^txcd_[0-9]{8}$")]
Resource = str | int | float | bool
