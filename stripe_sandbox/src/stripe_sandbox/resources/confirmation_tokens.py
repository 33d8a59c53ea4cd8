"""`/v1/confirmation_tokens`: what a page collects of a buyer, to confirm an intent with it once.

Stripe.js makes them; without a page there is the test helper.
"""

from stripe.params import ConfirmationTokenRetrieveParams
from stripe.params.test_helpers import ConfirmationTokenCreateParams

from stripe_sandbox.billing.confirmations import usable_method
from stripe_sandbox.billing.periods import HOUR
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call, Operation, retrieve
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

KIND = "confirmation_token"
PARAM = "confirmation_token"
LIFETIME = 12 * HOUR
METHODS = "_confirmation_method"
"""Kind of the stored payment methods of tokens, which Stripe does not show."""

SHOWN = ("allow_redisplay", "billing_details", "card", "customer", "link", "sepa_debit", "type",
         "us_bank_account")  # fmt: skip
"""The fields of a payment method that its preview has."""


def create(call: Call) -> Document:
    """Create a token for a payment method, as a page would."""
    world = call.world
    if call.get("payment_method") is None:
        raise missing_param("payment_method")
    reference = call.get("payment_method")
    held = world.store.peek("payment_method", reference) or {}
    method = world.find("payment_method", usable_method(world, reference, held.get("customer")))
    now = world.now()
    token = world.add(
        {
            "id": world.ids.next("ctoken"),
            "object": KIND,
            "created": now,
            "expires_at": now + LIFETIME,
            "livemode": False,
            "payment_method_preview": {n: method[n] for n in SHOWN if method.get(n) is not None},
            "use_stripe_sdk": True,
            **call.pick("return_url", "setup_future_usage", "shipping"),
        }
    )
    world.store.put(METHODS, {"id": token["id"], "payment_method": method["id"]})
    return token


def refuse_unconfirmed(call: Call) -> None:
    """Raise ApiError for a token in a request that creates an intent without confirming it."""
    if call.get(PARAM) and not call.get("confirm"):
        raise invalid("A ConfirmationToken can only be given with `confirm=true`.", param=PARAM)


def take_token(call: Call, intent: Document) -> Document:
    """Return the params of a confirmation, with those of its token, which is then used up.

    `intent` gets what the token says about it.
    """
    if call.get(PARAM) is None:
        return dict(call.params)
    if call.get("payment_method") is not None:
        message = (
            "You may only specify one of these parameters: payment_method, confirmation_token."
        )
        raise invalid(message, param=PARAM)
    token = call.world.find(KIND, call.get(PARAM), PARAM)
    _check_usable(call.world, token)
    call.world.save({**token, intent["object"]: intent["id"]})
    said = {name: token[name] for name in ("setup_future_usage", "shipping") if name in intent}
    intent |= {name: value for name, value in said.items() if value is not None}
    held = call.world.store.peek(METHODS, token["id"]) or {}
    return {
        "return_url": token["return_url"],
        **{name: value for name, value in call.params.items() if name != PARAM},
        "payment_method": id_of(held.get("payment_method")),
    }


def _check_usable(world: World, token: ReadOnly) -> None:
    if token["payment_intent"] or token["setup_intent"]:
        raise invalid("The ConfirmationToken has already been used.", param=PARAM)
    if token["expires_at"] <= world.now():
        raise invalid("The ConfirmationToken has expired.", param=PARAM)


OPERATIONS = (
    Operation("GET", "/confirmation_tokens/{id}", ConfirmationTokenRetrieveParams, retrieve(KIND)),
    Operation(
        "POST",
        "/test_helpers/confirmation_tokens",
        ConfirmationTokenCreateParams,
        create,
        supports("payment_method", "return_url", "setup_future_usage", "shipping"),
    ),
)
