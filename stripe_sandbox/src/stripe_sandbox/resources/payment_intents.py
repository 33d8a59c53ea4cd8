"""`/v1/payment_intents`."""

from dataclasses import replace

from stripe.params import (
    PaymentIntentAmountDetailsLineItemListParams,
    PaymentIntentCancelParams,
    PaymentIntentCaptureParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    PaymentIntentUpdateParams,
)

from stripe_sandbox.billing.confirmations import (
    check_type,
    confirm,
    confirmation_error,
    usable_method,
)
from stripe_sandbox.billing.mandates import give_mandate
from stripe_sandbox.billing.payment_intents import (
    KIND,
    cancel_intent,
    capture_intent,
    open_intent,
    refuse_unpayable,
)
from stripe_sandbox.billing.payments import payment_with
from stripe_sandbox.cards import AUTHENTICATION
from stripe_sandbox.documents import Document, id_of, merge_metadata
from stripe_sandbox.errors import ApiError, card_error, invalid, missing_param
from stripe_sandbox.money import check_amount
from stripe_sandbox.operations import Call, Listing, Operation, listing, retrieve
from stripe_sandbox.resources.confirmation_tokens import refuse_unconfirmed, take_token
from stripe_sandbox.resources.intent_params import (
    OPTIONS,
    TYPES,
    listed_types,
    options_of,
    take_method,
)
from stripe_sandbox.supported import supports

PLAIN = (
    "capture_method",
    "currency",
    "description",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
)


def create(call: Call) -> Document:
    """Create a payment intent, and confirm it if `confirm` is set."""
    refuse_unconfirmed(call)
    for name in ("amount", "currency"):
        if call.get(name) is None:
            raise missing_param(name)
    check_amount(call.get("amount"), call.get("currency"))
    customer = call.get("customer")
    if customer:
        call.world.find("customer", customer, "customer")
    values = {name: value for name, value in call.pick(*PLAIN).items() if value is not None}
    values |= {"amount": call.get("amount"), "customer": customer}
    values["metadata"] = call.get("metadata", {})
    values["confirmation_method"] = call.get("confirmation_method", "automatic")
    values |= listed_types(call) | options_of(call)
    if call.get("automatic_payment_methods"):
        values["automatic_payment_methods"] = call.get("automatic_payment_methods")
    if call.get("payment_method"):
        values["payment_method"] = usable_method(call.world, call.get("payment_method"), customer)
    intent = open_intent(call.world, values)
    if intent["payment_method"]:
        check_type(call.world, intent, intent["payment_method"])
    return _confirm(call, intent) if call.get("confirm") else intent


def update(call: Call) -> Document:
    """Update a payment intent that has not been confirmed."""
    world = call.world
    intent = world.find(KIND, call.id)
    refuse_unpayable(intent)
    if call.params.keys() & {"amount", "currency"} and payment_with(world, call.id):
        message = "The amount of a PaymentIntent that an invoice has created cannot be changed."
        raise invalid(message, param="amount")
    intent |= call.pick(*PLAIN, "amount", "customer")
    intent |= listed_types(call) | options_of(call, intent)
    check_amount(intent["amount"], intent["currency"])
    if "metadata" in call.params:
        intent["metadata"] = merge_metadata(intent["metadata"], call.params["metadata"])
    take_method(call, intent)
    return world.save(intent)


def confirm_intent(call: Call) -> Document:
    """Confirm a payment intent; 402 if the card is declined."""
    intent = call.world.find(KIND, call.id)
    refuse_unpayable(intent)
    intent |= call.pick("receipt_email", "setup_future_usage") | listed_types(call)
    intent |= options_of(call, intent)
    return _confirm(call, intent)


def _confirm(call: Call, intent: Document) -> Document:
    call = replace(call, params=take_token(call, intent))
    world, off_session = call.world, bool(call.get("off_session"))
    method_id = _method(call, intent)
    check_type(world, intent, method_id)
    if call.get("mandate_data"):
        give_mandate(world, intent, method_id, call.get("mandate_data")["customer_acceptance"])
    decline = confirm(
        world,
        intent,
        method_id,
        off_session=off_session,
        return_url=call.get("return_url"),
    )
    waits = decline is AUTHENTICATION and not off_session
    if waits and call.get("error_on_requires_action"):
        raise _not_authenticated()
    if decline and not waits:
        raise confirmation_error(world, decline, intent)
    return world.find(KIND, intent["id"])


def _method(call: Call, intent: Document) -> str:
    if call.get("payment_method"):
        return usable_method(call.world, call.get("payment_method"), id_of(intent["customer"]))
    if intent["payment_method"]:
        return str(intent["payment_method"])
    raise invalid(
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
        "either update the PaymentIntent with a payment method and then confirm it again, or "
        "confirm it again directly with a payment method or ConfirmationToken.",
        code="payment_intent_unexpected_state",
    )


def _not_authenticated() -> ApiError:
    """Return the 402 of `error_on_requires_action`, which undoes the confirmation."""
    error = card_error(
        AUTHENTICATION.message,
        code=AUTHENTICATION.code,
        decline_code=AUTHENTICATION.decline_code,
    )
    error.keeps_changes = False
    return error


def capture(call: Call) -> Document:
    """Capture an authorized payment intent."""
    return capture_intent(call.world, call.world.find(KIND, call.id), call.get("amount_to_capture"))


def list_amount_details(call: Call) -> Listing:
    """Return an empty list: intents have no details of their amount, which nothing here needs."""
    call.world.find(KIND, call.id)
    return Listing([])


def cancel(call: Call) -> Document:
    """Cancel a payment intent that has not been paid."""
    intent = call.world.find(KIND, call.id)
    if payment_with(call.world, call.id):
        message = (
            "You cannot cancel PaymentIntents created by invoices. To cancel this PaymentIntent, "
            "void the invoice instead."
        )
        raise invalid(message)
    return cancel_intent(call.world, intent, call.get("cancellation_reason"))


PATH = "/payment_intents"
ONE = f"{PATH}/{{id}}"
CONFIRM = supports(
    "confirmation_token",
    "error_on_requires_action",
    "mandate_data",
    "off_session",
    "payment_method",
    "return_url",
    allowed_payment_method_types=TYPES,
    payment_method_options=OPTIONS,
)
CREATE = supports(
    *PLAIN,
    "amount",
    "automatic_payment_methods",
    "confirm",
    "confirmation_method",
    "customer",
    "metadata",
    base=CONFIRM,
)
UPDATE = supports(
    *PLAIN,
    "amount",
    "customer",
    "metadata",
    "payment_method",
    allowed_payment_method_types=TYPES,
    payment_method_options=OPTIONS,
)

OPERATIONS = (
    Operation("POST", PATH, PaymentIntentCreateParams, create, CREATE),
    Operation(
        "GET",
        PATH,
        PaymentIntentListParams,
        listing(KIND),
        supports("created", "customer"),
    ),
    Operation("GET", ONE, PaymentIntentRetrieveParams, retrieve(KIND)),
    Operation(
        "GET",
        f"{ONE}/amount_details_line_items",
        PaymentIntentAmountDetailsLineItemListParams,
        list_amount_details,
        is_empty=True,
    ),
    Operation("POST", ONE, PaymentIntentUpdateParams, update, UPDATE),
    Operation(
        "POST",
        f"{ONE}/confirm",
        PaymentIntentConfirmParams,
        confirm_intent,
        supports("receipt_email", "setup_future_usage", base=CONFIRM),
    ),
    Operation(
        "POST",
        f"{ONE}/capture",
        PaymentIntentCaptureParams,
        capture,
        supports("amount_to_capture"),
    ),
    Operation(
        "POST",
        f"{ONE}/cancel",
        PaymentIntentCancelParams,
        cancel,
        supports("cancellation_reason"),
    ),
)
