"""`/v1/subscriptions/{id}/migrate` and `/discount`: terms that have a path of their own."""

from stripe.params import SubscriptionDeleteDiscountParams, SubscriptionMigrateParams

from stripe_sandbox.billing.discounts import replace_discounts
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid, no_such
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.supported import one_of, supports


def migrate(call: Call) -> Document:
    """Move a subscription from classic billing to flexible billing."""
    subscription = call.world.find("subscription", call.id)
    if subscription["billing_mode"]["type"] == "flexible":
        raise invalid("This subscription is on flexible billing mode already.")
    now = call.world.time_of(subscription)
    subscription["billing_mode"] = {**subscription["billing_mode"], "type": "flexible"}
    subscription["billing_mode"]["updated_at"] = now
    return call.world.change(subscription)


def delete_discount(call: Call) -> Document:
    """Take the discounts of a subscription; return the first of them."""
    world = call.world
    subscription = world.find("subscription", call.id)
    if not subscription["discounts"]:
        raise no_such("discount", call.id)
    discount = world.find("discount", subscription["discounts"][0])
    replace_discounts(world, subscription, subscription, None)
    world.change(subscription)
    return {**discount, "deleted": True}


ONE = "/subscriptions/{id}"

OPERATIONS = (
    Operation(
        "POST",
        f"{ONE}/migrate",
        SubscriptionMigrateParams,
        migrate,
        supports(billing_mode=supports(type=one_of("flexible"))),
    ),
    Operation("DELETE", f"{ONE}/discount", SubscriptionDeleteDiscountParams, delete_discount),
)
