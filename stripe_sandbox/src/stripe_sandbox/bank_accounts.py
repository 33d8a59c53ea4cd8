"""Stripe's test bank accounts, which are debited days later, and how each behaves."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stripe_sandbox.cards import (
    BLOCKED,
    FINGERPRINT_LENGTH,
    Decline,
    TestCard,
    find_token,
)

DAY = 86_400
DelayedType = Literal["sepa_debit", "us_bank_account"]

SETTLES_AFTER: Mapping[str, int] = {"sepa_debit": 5 * DAY, "us_bank_account": 4 * DAY}
"""Seconds until a debit is known to have succeeded or failed: docs.stripe.com/payments."""

AT_LEAST_THREE_MINUTES = 180
ROUTING_NUMBER = "110000000"


def _failure(code: str, sentence: str) -> Decline:
    return Decline(code, None, sentence)


CLOSED = _failure("account_closed", "The customer's bank account has been closed.")
NO_ACCOUNT = _failure("no_account", "The customer's bank account could not be located.")
NO_FUNDS = _failure(
    "insufficient_funds", "The customer's account has insufficient funds to cover this payment."
)
NOT_AUTHORIZED = _failure(
    "debit_not_authorized",
    "The customer has notified their bank that this payment was unauthorized.",
)
WRONG_CURRENCY = _failure(
    "invalid_currency", "The bank was unable to process this payment because of its currency."
)
WEEKLY_LIMIT = _failure(
    "charge_exceeds_weekly_limit",
    "This payment would cause the account to exceed its weekly transaction volume limit.",
)
SOURCE_LIMIT = _failure(
    "charge_exceeds_source_limit",
    "This payment would cause the account to exceed its weekly payment volume limit.",
)
FAILED = _failure("generic_decline", "The bank did not return any further details.")


@dataclass(frozen=True)
class TestAccount:
    """A test bank account: number, the id of its ready-made payment method, its behaviour.

    `decline` refuses a payment at once; `failure` is how a debit ends that fails later. `delay` is
    the seconds until then, None if that day never comes; by default, what the type takes.
    """

    number: str
    token: str
    type: DelayedType
    country: str = "US"
    decline: Decline | None = None
    failure: Decline | None = None
    delay: int | None = -1
    consequence: str | None = None
    risk: Literal["normal", "elevated", "highest"] = "normal"

    __test__ = False  # not a test class, despite its name

    attaches = True
    authentication = None
    refund = "succeeds"
    settles_at_once = False

    @property
    def fingerprint(self) -> str:
        """The same for a number, whenever and by whichever customer it is used."""
        return hashlib.sha256(f"bank {self.number}".encode()).hexdigest()[:FINGERPRINT_LENGTH]

    @property
    def settles_after(self) -> int | None:
        """Seconds until a debit succeeds or fails, or None."""
        return SETTLES_AFTER[self.type] if self.delay == -1 else self.delay


@dataclass(frozen=True)
class LinkWallet:
    """A wallet of Link's, which pays at once like a card."""

    number: str = "link"
    token: str = "pm_link"  # noqa: S105 - an id
    type: Literal["link"] = "link"
    country: str = "US"

    attaches = True
    authentication = None
    consequence = None
    decline = None
    refund = "succeeds"
    risk = "normal"
    settles_at_once = False


LINK = LinkWallet()
Instrument = TestCard | TestAccount | LinkWallet
"""What is behind a payment method."""


def _us(number: str, name: str, failure: Decline | None = None, **more: object) -> TestAccount:
    token = f"pm_usBankAccount_{name}"
    return TestAccount(number, token, "us_bank_account", failure=failure, **more)  # type: ignore[arg-type]


_ACH = (
    _us("000123456789", "success"),
    _us("000111111113", "accountClosed", CLOSED),
    _us("000000004954", "riskLevelHighest", decline=BLOCKED, risk="highest"),
    _us("000111111116", "noAccount", NO_ACCOUNT),
    _us("000222222227", "insufficientFunds", NO_FUNDS),
    _us("000333333335", "debitNotAuthorized", NOT_AUTHORIZED),
    _us("000444444440", "invalidCurrency", WRONG_CURRENCY),
    _us("000555555559", "dispute", consequence="fraudulent"),
    _us("000000000009", "processing", delay=None),
    _us("000777777771", "weeklyLimitExceeded", SOURCE_LIMIT),
)
"""Source: docs.stripe.com/payments/ach-direct-debit."""

_IBANS: Mapping[str, tuple[str, ...]] = {
    "AT": ("AT611904300234573201", "AT321904300235473204", "AT861904300235473202",
           "AT051904300235473205", "AT591904300235473203", "AT981904300000343434",
           "AT601904300000121212", "AT981904300002222227"),
    "DE": ("DE89370400440532013000", "DE08370400440532013003", "DE62370400440532013001",
           "DE78370400440532013004", "DE35370400440532013002", "DE65370400440000343434",
           "DE27370400440000121212", "DE65370400440002222227"),
    "EE": ("EE382200221020145685", "EE222200221020145682", "EE762200221020145680",
           "EE922200221020145683", "EE492200221020145681", "EE672200000000343434",
           "EE292200000000121212", "EE672200000002222227"),
    "FI": ("FI2112345600000785", "FI3712345600000788", "FI9112345600000786",
           "FI1012345600000789", "FI6412345600000787", "FI6712345600343434",
           "FI2912345600121212", "FI6712345602222227"),
    "FR": ("FR1420041010050500013M02606", "FR3020041010050500013M02609",
           "FR8420041010050500013M02607", "FR7920041010050500013M02600",
           "FR5720041010050500013M02608", "FR9720041010050000000343434",
           "FR5920041010050000000121212", "FR9720041010050000002222227"),
    "IE": ("IE29AIBK93115212345678", "IE24AIBK93115212345671", "IE02AIBK93115212345679",
           "IE94AIBK93115212345672", "IE51AIBK93115212345670", "IE10AIBK93115200343434",
           "IE69AIBK93115200121212", "IE10AIBK93115202222227"),
}  # fmt: skip
"""By country, each in the order of `_FATES`: docs.stripe.com/payments/sepa-debit."""

_FATES: tuple[tuple[str, dict[str, object]], ...] = (
    ("success", {}),
    ("successDelayed", {"delay": AT_LEAST_THREE_MINUTES}),
    ("failed", {"failure": FAILED}),
    ("failedDelayed", {"failure": FAILED, "delay": AT_LEAST_THREE_MINUTES}),
    ("disputed", {"consequence": "fraudulent"}),
    ("exceedsWeeklyVolumeLimit", {"failure": SOURCE_LIMIT}),
    ("exceedsWeeklyTransactionLimit", {"failure": WEEKLY_LIMIT}),
    ("insufficientFunds", {"failure": NO_FUNDS}),
)

_SEPA = tuple(
    TestAccount(iban, f"pm_{name}_{country.lower()}", "sepa_debit", country, **fate)  # type: ignore[arg-type]
    for country, ibans in _IBANS.items()
    for iban, (name, fate) in zip(ibans, _FATES, strict=True)
)

_OF_TRIGGER = TestAccount(
    "IT60X0542811101000000123456", "pm_failed_it", "sepa_debit", "IT", failure=FAILED
)
"""The account with which Stripe's own `stripe trigger` lets a payment fail."""

TEST_ACCOUNTS = (*_ACH, *_SEPA, _OF_TRIGGER)
BY_NUMBER = {account.number: account for account in TEST_ACCOUNTS}
BY_TOKEN: Mapping[str, Instrument] = {
    **{account.token: account for account in TEST_ACCOUNTS},
    LINK.token: LINK,
}


def find_account(number: str, kind: DelayedType) -> TestAccount:
    """Return the test account with this number; a debit of any other one succeeds."""
    country = number[:2] if kind == "sepa_debit" else "US"
    return BY_NUMBER.get(number) or TestAccount(number, "", kind, country)


def find_test_method(token: str) -> Instrument | None:
    """Return what is behind a ready-made payment method of Stripe's, such as `pm_card_visa`."""
    return find_token(token) or BY_TOKEN.get(token)


def is_iban(text: str) -> bool:
    """Return whether the check digits of an IBAN are valid."""
    if not (text.isascii() and text.isalnum() and text[:2].isalpha() and text[2:4].isdigit()):
        return False
    digits = "".join(str(int(one, 36)) for one in text[4:] + text[:4])
    return int(digits) % 97 == 1
