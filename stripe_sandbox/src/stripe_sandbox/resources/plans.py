"""`/v1/plans`: recurring prices in their older form."""

from stripe.params import (
    PlanCreateParams,
    PlanDeleteParams,
    PlanListParams,
    PlanRetrieveParams,
    PlanUpdateParams,
)

from stripe_sandbox.billing.subscriptions import plan_of
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import missing_param, no_such
from stripe_sandbox.operations import Call, Listing, Operation, is_in_range
from stripe_sandbox.resources import prices
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

SAME = ("active", "currency", "metadata", "nickname", "tiers", "tiers_mode", "billing_scheme")
TERM = ("interval", "interval_count", "meter", "trial_period_days", "usage_type")


def create(call: Call) -> Document:
    """Create a plan, which is a price too."""
    product = call.get("product")
    if product is None:
        raise missing_param("product")
    params = {name: call.get(name) for name in SAME}
    params |= {
        "product_data" if isinstance(product, dict) else "product": product,
        "recurring": {name: call.get(name) for name in TERM},
        "transform_quantity": call.get("transform_usage"),
        "unit_amount": call.get("amount"),
        "unit_amount_decimal": call.get("amount_decimal"),
    }
    given = {name: value for name, value in params.items() if value is not None}
    plan = plan_of(prices.create(Call(call.world, {}, given)))
    call.world.announce("plan.created", plan)
    return plan


def _plan(world: World, plan_id: str) -> Document:
    price = world.store.get("price", plan_id)
    if price is None or not price["recurring"]:
        raise no_such("plan", plan_id)
    return plan_of(price)


def fetch(call: Call) -> Document:
    """Return a plan."""
    return _plan(call.world, call.id)


def update(call: Call) -> Document:
    """Update a plan, and the price that it is."""
    before = _plan(call.world, call.id)
    price = prices.update(Call(call.world, call.ids, call.pick("active", "metadata", "nickname")))
    if call.get("trial_period_days") is not None:
        price["recurring"]["trial_period_days"] = call.get("trial_period_days")
        price = call.world.save(price)
    plan = plan_of(price)
    changed = {name: value for name, value in before.items() if plan[name] != value}
    if changed:
        call.world.announce("plan.updated", plan, previous=changed)
    return plan


def delete(call: Call) -> Document:
    """Delete a plan; subscriptions that have it go on."""
    plan = _plan(call.world, call.id)
    price = call.world.find("price", call.id)
    call.world.store.delete("price", call.id)
    call.world.announce("plan.deleted", plan)
    call.world.announce("price.deleted", price)
    return {"id": call.id, "object": "plan", "deleted": True}


def list_plans(call: Call) -> Listing:
    """List recurring prices as plans."""
    newest = call.world.store.newest_first("price")
    plans = (plan_of(price) for price in newest if price["recurring"])
    wanted = dict(call.params)
    bounds = wanted.pop("created", None)
    if bounds is not None:
        plans = (plan for plan in plans if is_in_range(plan["created"], bounds))
    return Listing([one for one in plans if all(one[n] == v for n, v in wanted.items())])


PATH, ONE = "/plans", "/plans/{id}"
UPDATE = supports("active", "metadata", "nickname", "trial_period_days")
CREATE = supports(
    "amount",
    "amount_decimal",
    "currency",
    "interval",
    "interval_count",
    "transform_usage",
    base=UPDATE,
    product=supports("active", "metadata", "name", "statement_descriptor", "unit_label"),
)

OPERATIONS = (
    Operation("POST", PATH, PlanCreateParams, create, CREATE),
    Operation("GET", PATH, PlanListParams, list_plans, supports("active", "created", "product")),
    Operation("GET", ONE, PlanRetrieveParams, fetch),
    Operation("POST", ONE, PlanUpdateParams, update, UPDATE),
    Operation("DELETE", ONE, PlanDeleteParams, delete),
)
