"""Parses and checks the buyer's input."""

from collections.abc import Mapping
from datetime import UTC, datetime

from stripe_sandbox.billing.checkout import Buyer
from stripe_sandbox.cards import find_card, passes_luhn

CARD_DIGITS = range(13, 20)
CVC_DIGITS = (3, 4)
CENTURY = 2000


class FormError(Exception):
    """An invalid field, with the message for the buyer."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def read_buyer(form: Mapping[str, str], now: int, *, with_card: bool) -> Buyer:
    """Return the buyer; raises FormError for the first invalid field.

    `now` (Unix seconds) is compared with the card's expiry.
    """
    name, email = form.get("billingName", "").strip(), form.get("email", "").strip()
    if not with_card:
        return Buyer(name=name or None, email=email or None)
    number = _read_number(form.get("cardNumber", ""))
    expiry = _read_expiry(form.get("cardExpiry", ""), now)
    _check_cvc(form.get("cardCvc", ""))
    if not name:
        raise FormError("billingName", "Enter the name on the card.")
    return Buyer(name=name, email=email or None, card=find_card(number), expiry=expiry)


def read_quantities(form: Mapping[str, str]) -> dict[int, int]:
    """Return the quantities by line; raises FormError for one that is no number."""
    found = {}
    for field, text in form.items():
        prefix, _, line = field.partition("_")
        if prefix != "quantity" or not line.isdecimal():
            continue
        if not text.strip().isdecimal():
            raise FormError(field, "Enter the quantity as a number.")
        found[int(line)] = int(text)
    return found


def _read_number(text: str) -> str:
    number = "".join(text.split()).replace("-", "")
    if not number.isascii() or not number.isdigit() or len(number) not in CARD_DIGITS:
        raise FormError("cardNumber", "Your card number is incomplete.")
    if not passes_luhn(number):
        raise FormError("cardNumber", "Your card number is invalid.")
    return number


def _read_expiry(text: str, now: int) -> tuple[int, int]:
    digits = "".join(part for part in text if part.isascii() and part.isdigit())
    if len(digits) not in {4, 6}:
        raise FormError("cardExpiry", "Your card's expiration date is incomplete.")
    month, year = int(digits[:2]), int(digits[2:])
    if not 1 <= month <= 12:  # noqa: PLR2004 - the months of a year
        raise FormError("cardExpiry", "Your card's expiration date is invalid.")
    year = year if year >= CENTURY else CENTURY + year
    today = datetime.fromtimestamp(now, UTC)
    if (year, month) < (today.year, today.month):
        raise FormError("cardExpiry", "Your card's expiration date is in the past.")
    return month, year


def _check_cvc(text: str) -> None:
    code = text.strip()
    if not code.isascii() or not code.isdigit() or len(code) not in CVC_DIGITS:
        raise FormError("cardCvc", "Your card's security code is incomplete.")
