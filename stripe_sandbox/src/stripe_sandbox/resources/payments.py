"""`/v1/charges` (read-only), `/v1/refunds`."""

from stripe.params import (
    ChargeListParams,
    ChargeRetrieveParams,
    RefundCreateParams,
    RefundListParams,
    RefundRetrieveParams,
)

from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.money import format_amount
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import supports


def create_refund(call: Call) -> Document:
    """Refund a charge in full or in part; raises ApiError for more than is left."""
    world = call.world
    charge = _charge(call)
    left = charge["amount"] - charge["amount_refunded"]
    if not left:
        message = f"Charge {charge['id']} has already been refunded."
        raise invalid(message, code="charge_already_refunded")
    amount = call.get("amount", left)
    if not 0 < amount <= left:
        asked, rest = (format_amount(one, charge["currency"]) for one in (amount, left))
        message = f"Refund amount ({asked}) is greater than unrefunded amount on charge ({rest})"
        raise invalid(message, param="amount")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.change(charge, event="charge.refunded")
    refund = world.add(
        {
            "id": world.ids.next("re"),
            "object": "refund",
            "amount": amount,
            "charge": charge["id"],
            "created": world.time_of(charge),
            "currency": charge["currency"],
            "metadata": call.get("metadata", {}),
            "payment_intent": charge["payment_intent"],
            "reason": call.get("reason"),
            "status": "succeeded",
        }
    )
    world.announce("refund.created", refund)
    return refund


def _charge(call: Call) -> Document:
    world = call.world
    charge_id = call.get("charge")
    if call.get("payment_intent"):
        intent = world.find("payment_intent", call.get("payment_intent"), "payment_intent")
        charge_id = intent["latest_charge"]
        if intent["status"] != "succeeded":
            message = f"This PaymentIntent ({intent['id']}) does not have a successful charge."
            raise invalid(message, param="payment_intent")
    if charge_id is None:
        raise missing_param("payment_intent")
    charge = world.find("charge", charge_id, "charge")
    if not charge["paid"]:
        raise invalid(f"Charge {charge_id} was not paid.", param="charge")
    return charge


REFUND = supports("amount", "charge", "metadata", "payment_intent", "reason")

OPERATIONS = (
    Operation(
        "GET",
        "/charges",
        ChargeListParams,
        listing("charge"),
        supports("created", "customer", "payment_intent"),
    ),
    Operation("GET", "/charges/{id}", ChargeRetrieveParams, retrieve("charge")),
    Operation("POST", "/refunds", RefundCreateParams, create_refund, REFUND),
    Operation(
        "GET",
        "/refunds",
        RefundListParams,
        listing("refund"),
        supports("charge", "created", "payment_intent"),
    ),
    Operation("GET", "/refunds/{id}", RefundRetrieveParams, retrieve("refund")),
)
