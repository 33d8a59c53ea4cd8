"""Stripe's test cards and how each behaves."""

import hashlib
from dataclasses import dataclass

FINGERPRINT_LENGTH = 16


@dataclass(frozen=True)
class Decline:
    """A bank's refusal: its codes, and the message for the buyer."""

    code: str
    decline_code: str | None
    message: str


GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
NO_FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
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

    `decline` refuses every charge, and attaching the card too unless `attaches`. `authenticates`
    requires 3D Secure, so off-session charges are declined.
    """

    number: str
    token: str
    brand: str = "visa"
    decline: Decline | None = None
    attaches: bool = False
    authenticates: bool = False

    __test__ = False  # not a test class, despite its name

    @property
    def fingerprint(self) -> str:
        """The same for a number, whenever and by whichever customer it is used."""
        return hashlib.sha256(f"card {self.number}".encode()).hexdigest()[:FINGERPRINT_LENGTH]


TEST_CARDS = (
    TestCard("4242424242424242", "pm_card_visa"),
    TestCard("4000056655665556", "pm_card_visa_debit"),
    TestCard("5555555555554444", "pm_card_mastercard", brand="mastercard"),
    TestCard("378282246310005", "pm_card_amex", brand="amex"),
    TestCard("4000000000000002", "pm_card_visa_chargeDeclined", decline=GENERIC),
    TestCard("4000000000009995", "pm_card_visa_chargeDeclinedInsufficientFunds", decline=NO_FUNDS),
    TestCard("4000000000000069", "pm_card_chargeDeclinedExpiredCard", decline=EXPIRED),
    TestCard("4000000000000127", "pm_card_chargeDeclinedIncorrectCvc", decline=WRONG_CVC),
    TestCard("4000000000000119", "pm_card_chargeDeclinedProcessingError", decline=PROCESSING),
    TestCard("4000000000000341", "pm_card_chargeCustomerFail", decline=GENERIC, attaches=True),
    TestCard("4000002760003184", "pm_card_authenticationRequired", authenticates=True),
)

BY_NUMBER = {card.number: card for card in TEST_CARDS}
BY_TOKEN = {card.token: card for card in TEST_CARDS}


def find_card(number: str) -> TestCard:
    """Return the test card with this number; unknown numbers are declined."""
    return BY_NUMBER.get(number) or TestCard(number, "", decline=NOT_A_TEST_CARD)


def passes_luhn(number: str) -> bool:
    """Return whether the check digit of a card number is valid."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
