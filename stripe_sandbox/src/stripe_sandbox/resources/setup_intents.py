"""`/v1/setup_intents` and `/v1/setup_attempts`."""

from dataclasses import replace

from stripe.params import (
    SetupAttemptListParams,
    SetupIntentCancelParams,
    SetupIntentConfirmParams,
    SetupIntentCreateParams,
    SetupIntentListParams,
    SetupIntentRetrieveParams,
    SetupIntentUpdateParams,
)

from stripe_sandbox.billing.confirmations import check_type, confirmation_error, usable_method
from stripe_sandbox.billing.mandates import give_mandate
from stripe_sandbox.billing.setup_intents import (
    KIND,
    cancel_setup,
    confirm_setup,
    open_setup,
    refuse_final,
)
from stripe_sandbox.documents import Document, id_of, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
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


def create(call: Call) -> Document:
    """Create a setup intent, and confirm it if `confirm` is set."""
    refuse_unconfirmed(call)
    customer = call.get("customer")
    if customer:
        call.world.find("customer", customer, "customer")
    named = call.pick("automatic_payment_methods", "description", "usage") | listed_types(call)
    values = {name: value for name, value in named.items() if value is not None}
    values |= {"customer": customer, "metadata": call.get("metadata", {})}
    values |= options_of(call)
    if call.get("payment_method"):
        values["payment_method"] = usable_method(call.world, call.get("payment_method"), customer)
    intent = open_setup(call.world, values)
    if intent["payment_method"]:
        check_type(call.world, intent, intent["payment_method"])
    return _confirm(call, intent) if call.get("confirm") else intent


def update(call: Call) -> Document:
    """Update a setup intent that has not succeeded."""
    world = call.world
    intent = world.find(KIND, call.id)
    refuse_final(intent, "updated")
    intent |= call.pick("customer", "description") | listed_types(call) | options_of(call, intent)
    if "metadata" in call.params:
        intent["metadata"] = merge_metadata(intent["metadata"] or {}, call.params["metadata"])
    take_method(call, intent)
    return world.save(intent)


def confirm(call: Call) -> Document:
    """Confirm a setup intent; 402 if the card is declined."""
    return _confirm(call, call.world.find(KIND, call.id))


def _confirm(call: Call, intent: Document) -> Document:
    refuse_final(intent, "confirmed")
    call = replace(call, params=take_token(call, intent))
    intent |= options_of(call, intent)
    method_id = intent["payment_method"]
    if call.get("payment_method"):
        customer = id_of(intent["customer"])
        method_id = usable_method(call.world, call.get("payment_method"), customer)
    if method_id is None:
        raise invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method. Update "
            "the SetupIntent with a payment method and then confirm it again.",
            code="setup_intent_unexpected_state",
        )
    check_type(call.world, intent, method_id)
    if call.get("mandate_data"):
        accepted = call.get("mandate_data")["customer_acceptance"]
        give_mandate(call.world, intent, method_id, accepted)
    decline = confirm_setup(call.world, intent, method_id, return_url=call.get("return_url"))
    if decline:
        raise confirmation_error(call.world, decline, intent)
    return call.world.find(KIND, intent["id"])


def cancel(call: Call) -> Document:
    """Cancel a setup intent that has not succeeded."""
    return cancel_setup(call.world, call.world.find(KIND, call.id), call.get("cancellation_reason"))


def list_attempts(call: Call) -> Document | Listing:
    """List the attempts of a setup intent."""
    if call.get("setup_intent") is None:
        raise missing_param("setup_intent")
    call.world.find(KIND, call.get("setup_intent"), "setup_intent")
    return listing("setup_attempt")(call)


PATH = "/setup_intents"
ONE = f"{PATH}/{{id}}"
UPDATE = supports(
    "customer",
    "description",
    "metadata",
    "payment_method",
    allowed_payment_method_types=TYPES,
    payment_method_options=OPTIONS,
)
CREATE = supports(
    "automatic_payment_methods",
    "confirm",
    "confirmation_token",
    "mandate_data",
    "return_url",
    "usage",
    base=UPDATE,
)

OPERATIONS = (
    Operation("POST", PATH, SetupIntentCreateParams, create, CREATE),
    Operation(
        "GET",
        PATH,
        SetupIntentListParams,
        listing(KIND),
        supports("created", "customer", "payment_method"),
    ),
    Operation("GET", ONE, SetupIntentRetrieveParams, retrieve(KIND)),
    Operation("POST", ONE, SetupIntentUpdateParams, update, UPDATE),
    Operation(
        "POST",
        f"{ONE}/confirm",
        SetupIntentConfirmParams,
        confirm,
        supports(
            "confirmation_token",
            "mandate_data",
            "payment_method",
            "return_url",
            payment_method_options=OPTIONS,
        ),
    ),
    Operation(
        "POST",
        f"{ONE}/cancel",
        SetupIntentCancelParams,
        cancel,
        supports("cancellation_reason"),
    ),
    Operation(
        "GET",
        "/setup_attempts",
        SetupAttemptListParams,
        list_attempts,
        supports("created", "setup_intent"),
    ),
)
