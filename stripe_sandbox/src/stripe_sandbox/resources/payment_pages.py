"""`/v1/payment_pages`: what Stripe's own page of a Checkout session calls.

The path is private, but `stripe trigger` pays sessions by it, so it is here for that.
"""

from typing import NotRequired, TypedDict

from stripe_sandbox.billing.buyers import Buyer
from stripe_sandbox.billing.checkout_completion import complete_session
from stripe_sandbox.billing.customers import instrument_behind
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Operation, retrieve
from stripe_sandbox.supported import supports

KIND = "checkout.session"


class PageRetrieveParams(TypedDict):
    """The params of retrieving a page."""

    expand: NotRequired[list[str]]


class PageConfirmParams(TypedDict):
    """The params of paying at a page."""

    expected_amount: NotRequired[int]
    expand: NotRequired[list[str]]
    payment_method: str


def confirm(call: Call) -> Document:
    """Pay an open session with a payment method, as its buyer."""
    session = call.world.find(KIND, call.id)
    if session["status"] != "open":
        raise invalid(f"This Checkout Session is {session['status']}.")
    if call.get("expected_amount", session["amount_total"]) != session["amount_total"]:
        message = "The amount of the session is not the expected one."
        raise invalid(message, param="expected_amount")
    method = call.world.find("payment_method", call.get("payment_method"), "payment_method")
    details = method["billing_details"]
    buyer = Buyer(
        name=details["name"],
        email=details["email"],
        instrument=instrument_behind(call.world, method["id"]),
        address=details["address"],
    )
    return complete_session(call.world, session, buyer)


ONE = "/payment_pages/{id}"

OPERATIONS = (
    Operation("GET", ONE, PageRetrieveParams, retrieve(KIND)),
    Operation(
        "POST",
        f"{ONE}/confirm",
        PageConfirmParams,
        confirm,
        supports("expected_amount", "payment_method"),
    ),
)
