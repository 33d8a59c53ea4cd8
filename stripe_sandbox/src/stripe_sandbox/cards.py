"""Stripe's test cards and how each behaves."""

import hashlib
from dataclasses import dataclass
from typing import Literal

FINGERPRINT_LENGTH = 16


@dataclass(frozen=True)
class Decline:
    """A bank's refusal: its codes, and the message for the buyer."""

    code: str
    decline_code: str | None
    message: str


GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
NO_FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
LOST = Decline("card_declined", "lost_card", "Your card was declined.")
STOLEN = Decline("card_declined", "stolen_card", "Your card was declined.")
TOO_OFTEN = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount "
    "limit.",
)
BLOCKED = Decline("card_declined", "fraudulent", "Your card was declined.")
EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.")
WRONG_CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
PROCESSING = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)
NOT_A_TEST_CARD = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test card. "
    "For a list of valid test cards, visit: https://stripe.com/docs/testing.",
)
AUTHENTICATION = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment method "
    "and try again.",
)


@dataclass(frozen=True)
class TestCard:
    """A test card: number, brand, the id of its ready-made payment method, and its behaviour.

    `decline` refuses every charge, and attaching the card too unless `attaches`. `authentication`
    says when 3D Secure is required: for `always` every payment, for `unless_set_up` those with a
    card that was not set up for later payments, for `on_session` those with the buyer present.
    `refund` and `consequence` are what happens to a refund, and after a successful charge.
    """

    number: str
    token: str
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    decline: Decline | None = None
    attaches: bool = False
    authentication: Literal["always", "unless_set_up", "on_session"] | None = None
    refund: Literal["succeeds", "succeeds_later", "fails_later"] = "succeeds"
    consequence: str | None = None
    risk: Literal["normal", "elevated", "highest"] = "normal"
    failed_checks: frozenset[str] = frozenset()
    settles_at_once: bool = False
    aliases: tuple[str, ...] = ()

    __test__ = False  # not a test class, despite its name

    @property
    def authenticates(self) -> bool:
        """Whether a payment with the buyer present requires 3D Secure."""
        return self.authentication is not None

    @property
    def fingerprint(self) -> str:
        """The same for a number, whenever and by whichever customer it is used."""
        return hashlib.sha256(f"card {self.number}".encode()).hexdigest()[:FINGERPRINT_LENGTH]


_BRANDS = (
    TestCard("4242424242424242", "pm_card_visa", aliases=("pm_card_us",)),
    TestCard("4000056655665556", "pm_card_visa_debit", funding="debit"),
    TestCard("5555555555554444", "pm_card_mastercard", brand="mastercard"),
    TestCard("2223003122003222", "", brand="mastercard"),
    TestCard("5200828282828210", "pm_card_mastercard_debit", brand="mastercard", funding="debit"),
    TestCard(
        "5105105105105100", "pm_card_mastercard_prepaid", brand="mastercard", funding="prepaid"
    ),
    TestCard("378282246310005", "pm_card_amex", brand="amex"),
    TestCard("371449635398431", "", brand="amex"),
    TestCard("6011111111111117", "pm_card_discover", brand="discover"),
    TestCard("6011000990139424", "", brand="discover"),
    TestCard("6011981111111113", "", brand="discover", funding="debit"),
    TestCard("3056930009020004", "pm_card_diners", brand="diners"),
    TestCard("36227206271667", "", brand="diners"),
    TestCard("3566002020360505", "pm_card_jcb", brand="jcb", country="JP"),
    TestCard("6200000000000005", "pm_card_unionpay", brand="unionpay", country="CN"),
    TestCard("6200000000000047", "", brand="unionpay", country="CN", funding="debit"),
)

_COUNTRIES = tuple(
    TestCard(number, f"pm_card_{country.lower()}", country=country)
    for country, number in {
        "AU": "4000000360000006",
        "BR": "4000000760000002",
        "CA": "4000001240000000",
        "DE": "4000002760000016",
        "FR": "4000002500000003",
        "GB": "4000008260000000",
        "IN": "4000003560000008",
        "JP": "4000003920000003",
        "MX": "4000004840008001",
    }.items()
)

_DECLINED = (
    TestCard(
        "4000000000000002",
        "pm_card_visa_chargeDeclined",
        decline=GENERIC,
        aliases=("pm_card_chargeDeclined",),
    ),
    TestCard(
        "4000000000009995",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        decline=NO_FUNDS,
        aliases=("pm_card_chargeDeclinedInsufficientFunds",),
    ),
    TestCard(
        "4000000000009987",
        "pm_card_visa_chargeDeclinedLostCard",
        decline=LOST,
        aliases=("pm_card_chargeDeclinedLostCard",),
    ),
    TestCard(
        "4000000000009979",
        "pm_card_visa_chargeDeclinedStolenCard",
        decline=STOLEN,
        aliases=("pm_card_chargeDeclinedStolenCard",),
    ),
    TestCard(
        "4000000000006975",
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        decline=TOO_OFTEN,
    ),
    TestCard("4000000000000069", "pm_card_chargeDeclinedExpiredCard", decline=EXPIRED),
    TestCard("4000000000000127", "pm_card_chargeDeclinedIncorrectCvc", decline=WRONG_CVC),
    TestCard("4000000000000119", "pm_card_chargeDeclinedProcessingError", decline=PROCESSING),
    TestCard("4000000000000341", "pm_card_chargeCustomerFail", decline=GENERIC, attaches=True),
)

_AUTHENTICATED = (
    TestCard(
        "4000002500003155",
        "pm_card_authenticationRequiredOnSetup",
        authentication="unless_set_up",
    ),
    TestCard("4000002760003184", "pm_card_authenticationRequired", authentication="always"),
    TestCard(
        "4000003800000446",
        "pm_card_authenticationRequiredSetupForOffSession",
        authentication="on_session",
    ),
    TestCard(
        "4000008260003178",
        "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        authentication="always",
        decline=NO_FUNDS,
        attaches=True,
    ),
    TestCard("4000000000003220", "pm_card_threeDSecure2Required", authentication="always"),
    TestCard(
        "4000008400001629",
        "pm_card_threeDSecureRequiredChargeDeclined",
        authentication="always",
        decline=GENERIC,
        attaches=True,
    ),
    TestCard("4000000000003055", "pm_card_threeDSecureOptional"),
)

_RISKY = (
    TestCard(
        "4100000000000019",
        "pm_card_radarBlock",
        decline=BLOCKED,
        attaches=True,
        risk="highest",
    ),
    TestCard(
        "4000000000004954",
        "pm_card_riskLevelHighest",
        decline=BLOCKED,
        attaches=True,
        risk="highest",
    ),
    TestCard("4000000000009235", "pm_card_riskLevelElevated", risk="elevated"),
    TestCard("4000000000000101", "pm_card_cvcCheckFail", failed_checks=frozenset({"cvc_check"})),
    TestCard(
        "4000000000000036",
        "pm_card_avsZipFail",
        failed_checks=frozenset({"address_postal_code_check"}),
    ),
    TestCard(
        "4000000000000028",
        "pm_card_avsLine1Fail",
        failed_checks=frozenset({"address_line1_check"}),
    ),
    TestCard(
        "4000000000000010",
        "pm_card_avsFail",
        failed_checks=frozenset({"address_line1_check", "address_postal_code_check"}),
    ),
)

_TAKEN_BACK = (
    TestCard("4000000000000259", "pm_card_createDispute", consequence="fraudulent"),
    TestCard(
        "4000000000002685",
        "pm_card_createDisputeProductNotReceived",
        consequence="product_not_received",
    ),
    TestCard("4000000000001976", "pm_card_createDisputeInquiry", consequence="inquiry"),
    TestCard("4000000000005423", "pm_card_createIssuerFraudRecord", consequence="warning"),
    TestCard("4000000000000077", "pm_card_bypassPending", settles_at_once=True),
    TestCard("4000000000007726", "pm_card_pendingRefund", refund="succeeds_later"),
    TestCard("4000000000005126", "pm_card_refundFail", refund="fails_later"),
)

TEST_CARDS = (*_BRANDS, *_COUNTRIES, *_DECLINED, *_AUTHENTICATED, *_RISKY, *_TAKEN_BACK)
"""Source: docs.stripe.com/testing; a card without a ready-made payment method has no token."""

BY_NUMBER = {card.number: card for card in reversed(TEST_CARDS)}
BY_TOKEN = {card.token: card for card in TEST_CARDS if card.token} | {
    alias: card for card in TEST_CARDS for alias in card.aliases
}


def find_card(number: str) -> TestCard:
    """Return the test card with this number; unknown numbers are declined."""
    return BY_NUMBER.get(number) or TestCard(number, "", decline=NOT_A_TEST_CARD)


def find_token(token: str) -> TestCard | None:
    """Return the test card of `pm_card_...`, or of the older `tok_...`."""
    return BY_TOKEN.get(token) or BY_TOKEN.get(f"pm_card_{token.removeprefix('tok_')}")


def passes_luhn(number: str) -> bool:
    """Return whether the check digit of a card number is valid."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
