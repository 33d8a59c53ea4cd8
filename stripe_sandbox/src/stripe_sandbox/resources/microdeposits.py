"""`verify_microdeposits` of payment and setup intents."""

from stripe.params import (
    PaymentIntentVerifyMicrodepositsParams,
    SetupIntentVerifyMicrodepositsParams,
)

from stripe_sandbox.billing.microdeposits import verify
from stripe_sandbox.documents import Document
from stripe_sandbox.operations import Call, Handler, Operation
from stripe_sandbox.supported import supports


def _verifying(kind: str) -> Handler:
    def handle(call: Call) -> Document:
        intent = call.world.find(kind, call.id)
        return verify(call.world, intent, call.get("amounts"), call.get("descriptor_code"))

    return handle


VERIFY = supports("amounts", "descriptor_code")

OPERATIONS = (
    Operation(
        "POST",
        "/payment_intents/{id}/verify_microdeposits",
        PaymentIntentVerifyMicrodepositsParams,
        _verifying("payment_intent"),
        VERIFY,
    ),
    Operation(
        "POST",
        "/setup_intents/{id}/verify_microdeposits",
        SetupIntentVerifyMicrodepositsParams,
        _verifying("setup_intent"),
        VERIFY,
    ),
)
