"""`POST /v1/subscriptions/{id}/pause`."""

from stripe.params import SubscriptionPauseParams

from stripe_sandbox.billing.pausing import pause_now
from stripe_sandbox.documents import Document
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.supported import one_of, supports


def pause(call: Call) -> Document:
    """Pause a subscription at once; by default the rest of its period is credited."""
    subscription = call.world.find("subscription", call.id)
    credits_from = (call.get("bill_for", {}).get("unused_time_from") or {}).get("type", "now")
    pause_now(
        call.world,
        subscription,
        credits_from=credits_from,
        invoices=call.get("invoicing_behavior") == "invoice",
    )
    return call.world.find("subscription", call.id)


OPERATIONS = (
    Operation(
        "POST",
        "/subscriptions/{id}/pause",
        SubscriptionPauseParams,
        pause,
        supports(
            "invoicing_behavior",
            bill_for=supports("unused_time_from"),
            type=one_of("subscription"),
        ),
    ),
)
