"""Parses and checks the buyer's input."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from stripe_sandbox.bank_accounts import (
    LINK,
    ROUTING_NUMBER,
    Instrument,
    find_account,
    is_iban,
)
from stripe_sandbox.billing.buyers import Buyer
from stripe_sandbox.billing.method_shapes import EXPIRY
from stripe_sandbox.cards import find_card, passes_luhn
from stripe_sandbox.documents import Document
from stripe_sandbox.hosted.problems import FormError, Problems

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


def read_buyer(form: Mapping[str, str], now: int, kinds: Sequence[str] = ("card",)) -> Buyer:
    """Return the buyer; raises FormError for all invalid fields.

    `kinds` are the types of payment methods to choose from, none if nothing is to be paid with.
    `now` (Unix seconds) is compared with the card's expiry.
    """
    name, email = form.get("billingName", "").strip(), form.get("email", "").strip()
    buyer = Buyer(name or None, email or None, address=read_address(form))
    if not kinds:
        return buyer
    kind = form.get("paymentMethodType") or kinds[0]
    if kind not in kinds:
        raise FormError({"paymentMethodType": "wrong.paymentMethodType"})
    problems = Problems()
    if kind == "card":
        buyer = _with_card(buyer, form, now, problems)
    else:
        buyer = replace(buyer, instrument=problems.read(_read_account, form, kind))
    if not name:
        problems.found["billingName"] = "wrong.cardholder" if kind == "card" else "wrong.holder"
    problems.refuse()
    return buyer


def _with_card(buyer: Buyer, form: Mapping[str, str], now: int, problems: Problems) -> Buyer:
    number = problems.read(_read_number, form.get("cardNumber", ""))
    expiry = problems.read(_read_expiry, form.get("cardExpiry", ""), now)
    problems.read(_check_cvc, form.get("cardCvc", ""))
    card = find_card(number) if number else None
    return replace(buyer, instrument=card, expiry=expiry or EXPIRY)


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
            raise FormError({"iban": "wrong.iban"})
        return find_account(iban, "sepa_debit")
    number, wrong = form.get("accountNumber", "").strip(), {}
    if form.get("routingNumber", "").strip() != ROUTING_NUMBER:
        wrong["routingNumber"] = "wrong.routingNumber"
    if not number.isascii() or not number.isdigit():
        wrong["accountNumber"] = "wrong.accountNumber"
    if wrong:
        raise FormError(wrong)
    return find_account(number, "us_bank_account")


def read_quantities(form: Mapping[str, str]) -> dict[int, int]:
    """Return the quantities by line; raises FormError for those that are not numbers."""
    found, wrong = {}, {}
    for field, text in form.items():
        prefix, _, line = field.partition("_")
        if prefix != "quantity" or not line.isdecimal():
            continue
        if text.strip().isdecimal():
            found[int(line)] = int(text)
        else:
            wrong[field] = "wrong.quantity"
    if wrong:
        raise FormError(wrong)
    return found


def _read_number(text: str) -> str:
    number = "".join(text.split()).replace("-", "")
    if not number.isascii() or not number.isdigit() or len(number) not in CARD_DIGITS:
        raise FormError({"cardNumber": "wrong.cardNumber.incomplete"})
    if not passes_luhn(number):
        raise FormError({"cardNumber": "wrong.cardNumber.invalid"})
    return number


def _read_expiry(text: str, now: int) -> tuple[int, int]:
    digits = "".join(part for part in text if part.isascii() and part.isdigit())
    if len(digits) not in {4, 6}:
        raise FormError({"cardExpiry": "wrong.cardExpiry.incomplete"})
    month, year = int(digits[:2]), int(digits[2:])
    if not 1 <= month <= 12:  # noqa: PLR2004 - the months of a year
        raise FormError({"cardExpiry": "wrong.cardExpiry.invalid"})
    year = year if year >= CENTURY else CENTURY + year
    today = datetime.fromtimestamp(now, UTC)
    if (year, month) < (today.year, today.month):
        raise FormError({"cardExpiry": "wrong.cardExpiry.past"})
    return month, year


def _check_cvc(text: str) -> None:
    code = text.strip()
    if not code.isascii() or not code.isdigit() or len(code) not in CVC_DIGITS:
        raise FormError({"cardCvc": "wrong.cardCvc.incomplete"})
