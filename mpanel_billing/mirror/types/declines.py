"""Why a payment was declined, in words for those who support the customer.

Source: docs.stripe.com/declines/codes. A code that is not listed keeps Stripe's own sentence.
"""

_ASK_BANK = "The bank declined it without a reason that it tells."

REASONS = {
    "approve_with_id": "The bank could not authorize it; it may succeed if tried again.",
    "authentication_required": "The bank requires the customer to confirm it (3-D Secure).",
    "authentication_not_handled": "The bank requires the customer to confirm it (3-D Secure).",
    "payment_intent_authentication_failure": "The customer did not confirm it (3-D Secure).",
    "call_issuer": _ASK_BANK,
    "card_not_supported": "The card does not support this kind of purchase.",
    "card_velocity_exceeded": "The card's limit of amount or of payments is used up.",
    "currency_not_supported": "The card does not support the currency.",
    "do_not_honor": _ASK_BANK,
    "do_not_try_again": "The bank refuses it, and any further try.",
    "expired_card": "The card has expired.",
    "fraudulent": "It was taken for fraud.",
    "generic_decline": _ASK_BANK,
    "highest_risk_level": "Stripe blocked it as too risky.",
    "incorrect_cvc": "The security code of the card is wrong.",
    "incorrect_number": "The number of the card is wrong.",
    "incorrect_zip": "The postal code does not match the card's.",
    "insufficient_funds": "The card has insufficient funds.",
    "invalid_account": "The card, or the account behind it, is invalid.",
    "invalid_amount": "The amount exceeds what the bank allows.",
    "invalid_cvc": "The security code of the card is wrong.",
    "invalid_expiry_month": "The month of expiry is wrong.",
    "invalid_expiry_year": "The year of expiry is wrong.",
    "invalid_number": "The number of the card is wrong.",
    "issuer_not_available": "The bank could not be reached; it may succeed if tried again.",
    "lost_card": "The card was reported lost.",
    "new_account_information_available": "The card, or the account behind it, is invalid.",
    "no_action_taken": _ASK_BANK,
    "not_permitted": "The bank does not permit it.",
    "pickup_card": "The card cannot be used; it may be reported lost or stolen.",
    "processing_error": "An error occurred while the card was charged; try it again.",
    "reenter_transaction": "The bank could not process it; it may succeed if tried again.",
    "restricted_card": "The card cannot be used; it may be reported lost or stolen.",
    "revocation_of_all_authorizations": "The customer has revoked all payments with the card.",
    "revocation_of_authorization": "The customer has revoked this payment.",
    "rule": "A rule in Stripe's Radar blocked it.",
    "service_not_allowed": "The bank does not permit it.",
    "stolen_card": "The card was reported stolen.",
    "stop_payment_order": "The customer has stopped payments to us.",
    "transaction_not_allowed": "The bank does not permit it.",
    "try_again_later": "The bank declined it; it may succeed if tried again later.",
    "withdrawal_count_limit_exceeded": "The card's limit of amount or of payments is used up.",
}


def reason_in_words(
    failure_code: str | None, decline_code: str | None, message: str | None
) -> str | None:
    """Return why it failed; None if it did not. `message` is Stripe's own sentence."""
    for code in (decline_code, failure_code):
        if code in REASONS:
            return REASONS[code]
    return message or failure_code
