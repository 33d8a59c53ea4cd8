"""The params that payment intents and setup intents share."""

from stripe_sandbox.billing.account_checks import BLANK_OPTIONS
from stripe_sandbox.billing.confirmations import check_type, usable_method
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.operations import Call
from stripe_sandbox.supported import one_of, supports

TYPES = one_of("card", "link", "sepa_debit", "us_bank_account")
OPTIONS = supports(us_bank_account=supports("verification_method"))


def listed_types(call: Call) -> Document:
    """Return which types of payment methods an intent takes, if the request lists them."""
    listed = call.get("allowed_payment_method_types")
    if not listed:
        return {}
    return {"allowed_payment_method_types": listed, "payment_method_types": listed}


def options_of(call: Call, intent: ReadOnly | None = None) -> Document:
    """Return the options of payment methods after a request, if it names any."""
    given = call.get("payment_method_options")
    if not given:
        return {}
    known = (intent or {}).get("payment_method_options") or {}
    return {"payment_method_options": {**BLANK_OPTIONS, **known, **given}}


def take_method(call: Call, intent: Document) -> None:
    """Give an intent the payment method of a request, if it names one."""
    if call.get("payment_method"):
        customer = id_of(intent["customer"])
        method = usable_method(call.world, call.get("payment_method"), customer)
        check_type(call.world, intent, method)
        intent |= {"payment_method": method, "status": "requires_confirmation"}
