"""`POST /v1/subscriptions/{id}/pause`."""

from stripe.params import SubscriptionPauseParams

from stripe_sandbox.billing.pausing import PauseTerms, pause_now
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.supported import one_of, supports


def pause(call: Call) -> Document:
    """Pause a subscription at once; by default the rest of its period is credited."""
    subscription = call.world.find("subscription", call.id)
    pause_now(call.world, subscription, terms_of(call.params))
    return call.world.find("subscription", call.id)


def terms_of(given: ReadOnly) -> PauseTerms:
    """Return the terms of a pause; what is not given has Stripe's default."""
    bill_for = given.get("bill_for") or {}
    unused, usage = bill_for.get("unused_time_from"), bill_for.get("outstanding_usage_through")
    return PauseTerms(
        credits_from=(unused or {}).get("type", "now"),
        bills_usage=(usage or {}).get("type") != "none",
        invoices=given.get("invoicing_behavior") == "invoice",
    )


OPERATIONS = (
    Operation(
        "POST",
        "/subscriptions/{id}/pause",
        SubscriptionPauseParams,
        pause,
        supports(
            "invoicing_behavior",
            bill_for=supports("outstanding_usage_through", "unused_time_from"),
            type=one_of("subscription"),
        ),
    ),
)
