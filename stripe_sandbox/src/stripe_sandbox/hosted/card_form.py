"""Parses and checks the buyer's input."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from stripe_sandbox.bank_accounts import (
    LINK,
    ROUTING_NUMBER,
    Instrument,
    find_account,
    is_iban,
)
from stripe_sandbox.billing.buyers import Buyer
from stripe_sandbox.cards import find_card, passes_luhn
from stripe_sandbox.documents import Document

CARD_DIGITS = range(13, 20)
CVC_DIGITS = (3, 4)
CENTURY = 2000
ADDRESS_FIELDS = {
    "city": "Locality",
    "country": "Country",
    "line1": "AddressLine1",
    "line2": "AddressLine2",
    "postal_code": "PostalCode",
    "state": "AdministrativeArea",
}
"""The fields of an address at Stripe's payment page, after `billing` or `shipping`."""


class FormError(Exception):
    """An invalid field, with the message for the buyer."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def read_buyer(form: Mapping[str, str], now: int, kinds: Sequence[str] = ("card",)) -> Buyer:
    """Return the buyer; raises FormError for the first invalid field.

    `kinds` are the types of payment methods to choose from, none if nothing is to be paid with.
    `now` (Unix seconds) is compared with the card's expiry.
    """
    name, email = form.get("billingName", "").strip(), form.get("email", "").strip()
    address = read_address(form)
    if not kinds:
        return Buyer(name or None, email or None, address=address)
    kind = form.get("paymentMethodType") or kinds[0]
    if kind not in kinds:
        raise FormError("paymentMethodType", "Choose how to pay.")
    if kind != "card":
        instrument = _read_account(form, kind)
        _need_name(name, "Enter the name of the account holder.")
        return Buyer(name, email or None, instrument, address=address)
    number = _read_number(form.get("cardNumber", ""))
    expiry = _read_expiry(form.get("cardExpiry", ""), now)
    _check_cvc(form.get("cardCvc", ""))
    _need_name(name, "Enter the name on the card.")
    return Buyer(name, email or None, find_card(number), expiry, address)


def _need_name(name: str, message: str) -> None:
    if not name:
        raise FormError("billingName", message)


def read_address(form: Mapping[str, str], kind: str = "billing") -> Document | None:
    """Return the address in a form, if any of it is there."""
    names = {name: f"{kind}{field}" for name, field in ADDRESS_FIELDS.items()}
    typed = {name: form.get(field, "").strip() for name, field in names.items()}
    given = {name: one for name, one in typed.items() if one}
    return {**dict.fromkeys(ADDRESS_FIELDS), **given} if given else None


def _read_account(form: Mapping[str, str], kind: str) -> Instrument:
    if kind == "link":
        return LINK
    if kind == "sepa_debit":
        iban = "".join(form.get("iban", "").split()).upper()
        if not is_iban(iban):
            raise FormError("iban", "The IBAN you entered is invalid.")
        return find_account(iban, "sepa_debit")
    if form.get("routingNumber", "").strip() != ROUTING_NUMBER:
        raise FormError(
            "routingNumber", f"The routing number of test accounts is {ROUTING_NUMBER}."
        )
    number = form.get("accountNumber", "").strip()
    if not number.isascii() or not number.isdigit():
        raise FormError("accountNumber", "Your account number is incomplete.")
    return find_account(number, "us_bank_account")


def read_quantities(form: Mapping[str, str]) -> dict[int, int]:
    """Return the quantities by line; raises FormError for one that is not a number."""
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
