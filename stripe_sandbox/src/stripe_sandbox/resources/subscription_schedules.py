"""`/v1/subscription_schedules`."""

from stripe.params import (
    SubscriptionScheduleCancelParams,
    SubscriptionScheduleCreateParams,
    SubscriptionScheduleListParams,
    SubscriptionScheduleReleaseParams,
    SubscriptionScheduleRetrieveParams,
    SubscriptionScheduleUpdateParams,
)

from stripe_sandbox.billing.periods import add_interval
from stripe_sandbox.billing.subscription_schedules import (
    KIND,
    OPEN,
    create_from,
    make_phase,
    release,
    set_end,
)
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import ApiError, invalid, missing_param
from stripe_sandbox.operations import (
    Call,
    Filter,
    Operation,
    is_in_range,
    listing,
    retrieve,
)
from stripe_sandbox.resources.subscriptions import end_now
from stripe_sandbox.supported import one_of, supports


def create(call: Call) -> Document:
    """Create a schedule from a subscription; its only phase is the current period."""
    world = call.world
    if call.get("from_subscription") is None:
        message = "The sandbox creates schedules only with from_subscription."
        raise invalid(message, param="from_subscription")
    subscription = world.find("subscription", call.get("from_subscription"), "from_subscription")
    if subscription["schedule"] is not None:
        raise invalid(
            "You cannot migrate a subscription that is already attached to a schedule: "
            f"`{subscription['schedule']}`.",
            param="from_subscription",
        )
    if subscription["status"] in FINAL_STATUSES | {"incomplete"}:
        message = f"You cannot migrate a subscription that is `{subscription['status']}`."
        raise invalid(message, param="from_subscription")
    return create_from(world, subscription)


def update(call: Call) -> Document:
    """Update the phases, which replace the current and the later ones, and what follows them."""
    world = call.world
    schedule = _open_schedule(call, "update")
    subscription = world.find("subscription", schedule["subscription"])
    if "metadata" in call.params:
        schedule["metadata"] = merge_metadata(schedule["metadata"], call.params["metadata"])
    schedule["end_behavior"] = call.get("end_behavior", schedule["end_behavior"])
    if call.get("phases"):
        _replace_phases(call, schedule, subscription)
    set_end(world, subscription, schedule)
    world.change(subscription)
    return world.change(schedule)


def _open_schedule(call: Call, verb: str) -> Document:
    schedule = call.world.find(KIND, call.id)
    if schedule["status"] not in OPEN:
        raise ApiError(
            400,
            f"You cannot {verb} a subscription schedule that is currently in the "
            f"`{schedule['status']}` status. It must be in `not_started`, `active` status to be "
            f"{verb.removesuffix('e')}ed.",
        )
    return schedule


def _replace_phases(call: Call, schedule: Document, subscription: ReadOnly) -> None:
    current = schedule["current_phase"]
    past = [phase for phase in schedule["phases"] if phase["end_date"] <= current["start_date"]]
    known = next(p for p in schedule["phases"] if p["start_date"] == current["start_date"])
    phases: list[Document] = []
    for index, given in enumerate(call.get("phases")):
        start = phases[-1]["end_date"] if phases else current["start_date"]
        phases.append(_phase(call, subscription, given, start, index))
    if _terms(phases[0]) != _terms(known):
        message = "The sandbox does not change the items of the current phase."
        raise invalid(message, param="phases[0][items]")
    if phases[0]["end_date"] <= call.world.time_of(schedule):
        raise invalid("The current phase must end in the future.", param="phases[0][end_date]")
    schedule["phases"] = [*past, *phases]
    schedule["current_phase"] = {name: phases[0][name] for name in ("start_date", "end_date")}


def _terms(phase: ReadOnly) -> list[tuple[str, int | None]]:
    return [(item["price"], item["quantity"]) for item in phase["items"]]


def _phase(call: Call, subscription: ReadOnly, given: ReadOnly, start: int, index: int) -> Document:
    path = f"phases[{index}]"
    if given.get("start_date") not in {None, start}:
        sentence = (
            "You can not modify the start date of the current phase."
            if index == 0
            else "The start date of a phase must be the end date of the phase before."
        )
        raise invalid(sentence, param=f"{path}[start_date]")
    items = [_item(call, one, f"{path}[items][{i}]") for i, one in enumerate(given["items"])]
    _refuse_other_interval(subscription, items, path)
    end = _end(given, items, start, path)
    behavior = given.get("proration_behavior") or "create_prorations"
    return make_phase(subscription, start, end, items, proration_behavior=behavior)


def _item(call: Call, given: ReadOnly, path: str) -> Document:
    name = given.get("price") or given.get("plan")
    if name is None:
        raise missing_param(f"{path}[price]")
    price = call.world.find("price", name, f"{path}[price]")
    return {"price": price, "quantity": given.get("quantity") or 1}


def _refuse_other_interval(subscription: ReadOnly, items: list[Document], path: str) -> None:
    held = subscription["items"]["data"][0]["price"]["recurring"]
    for item in items:
        wanted = item["price"]["recurring"] or {}
        if any(wanted.get(name) != held[name] for name in ("interval", "interval_count")):
            message = "The sandbox supports only phases of the subscription's own interval."
            raise invalid(message, param=f"{path}[items]")


def _end(given: ReadOnly, items: list[Document], start: int, path: str) -> int:
    """Return the end of a phase: a date, a duration, or one interval of its first price."""
    if given.get("end_date") is not None and given.get("duration") is not None:
        raise invalid("You may only specify one of end_date, duration.", param=path)
    if isinstance(given.get("end_date"), int):
        if given["end_date"] <= start:
            raise invalid("A phase must end after it starts.", param=f"{path}[end_date]")
        return int(given["end_date"])
    length = given.get("duration") or items[0]["price"]["recurring"]
    return add_interval(start, length["interval"], length.get("interval_count") or 1)


def release_schedule(call: Call) -> Document:
    """Stop the schedule and leave the subscription as it is."""
    schedule = _open_schedule(call, "release")
    return release(call.world, schedule, keeps_end=bool(call.get("preserve_cancel_date")))


def cancel(call: Call) -> Document:
    """Cancel the schedule and its subscription now; both are on unless they are false."""
    world = call.world
    schedule = _open_schedule(call, "cancel")
    subscription = world.find("subscription", schedule["subscription"])
    prorates, bills = call.get("prorate", True), call.get("invoice_now", True)
    end_now(world, subscription, prorates=prorates, bills=bills)
    return world.find(KIND, call.id)


def _in_range(name: str) -> Filter:
    return lambda schedule, bounds: (
        schedule[name] is not None and is_in_range(schedule[name], bounds)
    )


def _is_scheduled(schedule: ReadOnly, wanted: bool) -> bool:
    return not wanted or bool(schedule["status"] == "not_started")


PATH = "/subscription_schedules"
CREATE = supports("from_subscription")
UPDATE = supports(
    "metadata",
    end_behavior=one_of("cancel", "release"),
    phases=supports(
        "duration",
        "start_date",
        end_date=one_of(int),
        items=supports("plan", "price", "quantity"),
        proration_behavior=one_of("create_prorations", "none"),
    ),
)
MOMENTS = ("canceled_at", "completed_at", "released_at")

OPERATIONS = (
    Operation("POST", PATH, SubscriptionScheduleCreateParams, create, CREATE),
    Operation(
        "GET",
        PATH,
        SubscriptionScheduleListParams,
        listing(KIND, scheduled=_is_scheduled, **{name: _in_range(name) for name in MOMENTS}),
        supports(*MOMENTS, "created", "customer", "scheduled"),
    ),
    Operation("GET", f"{PATH}/{{id}}", SubscriptionScheduleRetrieveParams, retrieve(KIND)),
    Operation(
        "POST",
        f"{PATH}/{{id}}",
        SubscriptionScheduleUpdateParams,
        update,
        UPDATE,
    ),
    Operation(
        "POST",
        f"{PATH}/{{id}}/release",
        SubscriptionScheduleReleaseParams,
        release_schedule,
        supports("preserve_cancel_date"),
    ),
    Operation(
        "POST",
        f"{PATH}/{{id}}/cancel",
        SubscriptionScheduleCancelParams,
        cancel,
        supports("invoice_now", "prorate"),
    ),
)
