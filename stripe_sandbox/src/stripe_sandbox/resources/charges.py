"""`/v1/charges` and `/v1/refunds`."""

from stripe.params import (
    ChargeCaptureParams,
    ChargeCreateParams,
    ChargeListParams,
    ChargeRetrieveParams,
    ChargeUpdateParams,
    RefundCancelParams,
    RefundCreateParams,
    RefundListParams,
    RefundRetrieveParams,
    RefundUpdateParams,
)
from stripe.params.test_helpers import RefundExpireParams

from stripe_sandbox.billing import refunds
from stripe_sandbox.billing.cash_balance import NewReturn, cancel_return, make_return
from stripe_sandbox.billing.direct_charges import NewCharge, capture_charge, charge_directly
from stripe_sandbox.billing.payment_intents import capture_intent
from stripe_sandbox.billing.refunds import NewRefund, make_refund
from stripe_sandbox.documents import Document, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.money import check_amount
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import supports

SAID = (
    "description",
    "receipt_email",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
)

OF_RETURNS = ("currency", "customer", "instructions_email")
"""Params of refunds that are made of a customer's cash balance."""


def create_charge(call: Call) -> Document:
    """Charge a token, a source or a customer's default card; 402 if it is declined."""
    for name in ("amount", "currency"):
        if call.get(name) is None:
            raise missing_param(name)
    check_amount(call.get("amount"), call.get("currency"))
    customer_id, source = call.get("customer"), call.get("source")
    if customer_id is None and source is None:
        raise missing_param("source")
    customer = call.world.find("customer", customer_id, "customer") if customer_id else None
    values = {name: call.get(name) for name in SAID}
    values |= {"amount": call.get("amount"), "currency": call.get("currency")}
    values["metadata"] = call.get("metadata", {})
    captured = call.get("capture", True)
    return charge_directly(call.world, NewCharge(values, customer, source, captured))


def capture(call: Call) -> Document:
    """Capture a charge that was only authorized."""
    world, charge = call.world, call.world.find("charge", call.id)
    if charge["payment_intent"]:
        intent = world.find("payment_intent", charge["payment_intent"])
        capture_intent(world, intent, call.get("amount"))
        return world.find("charge", call.id)
    return capture_charge(world, charge, call.get("amount"))


def update_charge(call: Call) -> Document:
    """Update what a charge says about itself."""
    charge = call.world.find("charge", call.id)
    charge |= call.pick("description", "receipt_email")
    if "metadata" in call.params:
        charge["metadata"] = merge_metadata(charge["metadata"], call.params["metadata"])
    return call.world.change(charge)


def create_refund(call: Call) -> Document:
    """Refund a charge in full or in part, or money that a customer sent and that pays nothing.

    Raises ApiError for more than is left.
    """
    if call.get("origin"):
        return _create_return(call)
    for name in OF_RETURNS:
        if call.get(name) is not None:
            message = f"`{name}` is only for refunds with `origin=customer_balance`."
            raise invalid(message, param=name)
    new = NewRefund(
        charge=_charge(call),
        amount=call.get("amount"),
        reason=call.get("reason"),
        metadata=call.get("metadata", {}),
    )
    return make_refund(call.world, new)


def _create_return(call: Call) -> Document:
    for name in ("amount", "currency", "customer"):
        if call.get(name) is None:
            raise missing_param(name)
    for name in ("charge", "payment_intent"):
        if call.get(name) is not None:
            message = f"A refund with `origin=customer_balance` has no `{name}`."
            raise invalid(message, param=name)
    check_amount(call.get("amount"), call.get("currency"))
    new = NewReturn(
        customer=call.world.find("customer", call.get("customer"), "customer"),
        amount=call.get("amount"),
        currency=call.get("currency"),
        email=call.get("instructions_email"),
        reason=call.get("reason"),
        metadata=call.get("metadata", {}),
    )
    return make_return(call.world, new)


def cancel_refund(call: Call) -> Document:
    """Cancel a refund that waits for its customer, or let it expire, which comes to the same."""
    return cancel_return(call.world, call.world.find("refund", call.id))


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


def update_refund(call: Call) -> Document:
    """Update a refund's metadata."""
    refund = call.world.find("refund", call.id)
    refund["metadata"] = merge_metadata(refund["metadata"] or {}, call.params.get("metadata"))
    return refunds.update(call.world, refund)


OPERATIONS = (
    Operation(
        "POST",
        "/charges",
        ChargeCreateParams,
        create_charge,
        supports("amount", "capture", "currency", "customer", "metadata", "source", *SAID),
    ),
    Operation("POST", "/charges/{id}/capture", ChargeCaptureParams, capture, supports("amount")),
    Operation(
        "GET",
        "/charges",
        ChargeListParams,
        listing("charge"),
        supports("created", "customer", "payment_intent"),
    ),
    Operation("GET", "/charges/{id}", ChargeRetrieveParams, retrieve("charge")),
    Operation(
        "POST",
        "/charges/{id}",
        ChargeUpdateParams,
        update_charge,
        supports("description", "metadata", "receipt_email"),
    ),
    Operation(
        "POST",
        "/refunds",
        RefundCreateParams,
        create_refund,
        supports("amount", "charge", "metadata", "origin", "payment_intent", "reason", *OF_RETURNS),
    ),
    Operation(
        "GET",
        "/refunds",
        RefundListParams,
        listing("refund"),
        supports("charge", "created", "payment_intent"),
    ),
    Operation("GET", "/refunds/{id}", RefundRetrieveParams, retrieve("refund")),
    Operation("POST", "/refunds/{id}", RefundUpdateParams, update_refund, supports("metadata")),
    Operation("POST", "/refunds/{id}/cancel", RefundCancelParams, cancel_refund),
    Operation("POST", "/test_helpers/refunds/{id}/expire", RefundExpireParams, cancel_refund),
)
