"""`/v1/subscription_schedules`."""

from stripe.params import (
    SubscriptionScheduleCancelParams,
    SubscriptionScheduleCreateParams,
    SubscriptionScheduleListParams,
    SubscriptionScheduleReleaseParams,
    SubscriptionScheduleRetrieveParams,
    SubscriptionScheduleUpdateParams,
)

from stripe_sandbox.billing.customers import check_owner
from stripe_sandbox.billing.pause_schedules import plan_pause
from stripe_sandbox.billing.phase_settings import SETTINGS, setting_of
from stripe_sandbox.billing.phases import change_current_phase, plan_expiry, start_schedule
from stripe_sandbox.billing.subscription_schedules import (
    DEFAULTS,
    KIND,
    OPEN,
    cancel_unstarted,
    create_from,
    make_schedule,
    note_bare_phases,
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
from stripe_sandbox.resources.pause_schedule_params import read_pauses
from stripe_sandbox.resources.schedule_phases import (
    DEFAULT_SETTINGS,
    PHASE,
    check_settings,
    read_phases,
    read_settings,
)
from stripe_sandbox.resources.subscriptions import end_now
from stripe_sandbox.supported import one_of, supports


def create(call: Call) -> Document:
    """Create a schedule: of a subscription, or of phases that make a subscription."""
    if call.get("from_subscription") is not None:
        return _create_from(call)
    world = call.world
    for name in ("customer", "phases", "start_date"):
        if call.get(name) is None:
            raise missing_param(name)
    customer = world.find("customer", call.get("customer"), "customer")
    now = world.time_of(customer)
    start = now if call.get("start_date") == "now" else int(call.get("start_date"))
    if start < now:
        raise invalid("The sandbox starts schedules now or later.", param="start_date")
    schedule = make_schedule(
        world,
        customer["id"],
        read_phases(call, customer["id"], start),
        default_settings=_default_settings(call, DEFAULTS),
        end_behavior=call.get("end_behavior", "release"),
        metadata=call.get("metadata", {}),
    )
    check_settings(call, schedule)
    note_bare_phases(world, schedule, call.get("phases"))
    plan_expiry(world, schedule)
    if start == now:
        schedule = start_schedule(world, schedule)
    return _take_pauses(call, schedule)


def _default_settings(call: Call, known: ReadOnly) -> Document:
    """Return the default settings after a request; what it does not name stays."""
    given = call.get("default_settings", {})
    method = given.get("default_payment_method")
    if method:
        owner = call.get("customer") or call.world.find(KIND, call.id)["customer"]
        check_owner(call.world, method, owner, "default_settings[default_payment_method]")
    plain = {
        name: given[name] for name in ("default_payment_method", "description") if name in given
    }
    return {**known, **read_settings(given), **plain}


def _take_pauses(call: Call, schedule: Document) -> Document:
    """Plan the pauses of a new schedule, if it has any."""
    if not call.get("pause_schedules"):
        return schedule
    subscription = schedule["subscription"] and call.world.find(
        "subscription", schedule["subscription"]
    )
    schedule["pause_schedules"] = read_pauses(call, schedule, subscription)
    return plan_pause(call.world, call.world.change(schedule))


def _create_from(call: Call) -> Document:
    world = call.world
    for name in ("customer", "default_settings", "end_behavior", "phases", "start_date"):
        if call.get(name) is not None:
            message = f"You cannot set `{name}` if `from_subscription` is set."
            raise invalid(message, param=name)
    subscription = world.find("subscription", call.get("from_subscription"), "from_subscription")
    if subscription["schedule"] is not None:
        raise invalid(
            "You cannot migrate a subscription that is already attached to a schedule: "
            f"`{subscription['schedule']}`.",
            param="from_subscription",
        )
    refused = FINAL_STATUSES | {"incomplete", "paused"}
    if call.get("pause_schedules"):
        refused -= {"paused"}
    if subscription["status"] in refused:
        message = f"You cannot migrate a subscription that is `{subscription['status']}`."
        raise invalid(message, param="from_subscription")
    schedule = create_from(world, subscription, call.get("metadata", {}))
    plan_expiry(world, schedule)
    return _take_pauses(call, schedule)


def update(call: Call) -> Document:
    """Update the phases, which replace the current and the later ones, and what follows them."""
    world = call.world
    schedule = _open_schedule(call, "update")
    known = _current_phase(schedule) if schedule["current_phase"] else None
    if "metadata" in call.params:
        schedule["metadata"] = merge_metadata(schedule["metadata"], call.params["metadata"])
    schedule["end_behavior"] = call.get("end_behavior", schedule["end_behavior"])
    schedule["default_settings"] = _default_settings(call, schedule["default_settings"])
    if known is None:
        if call.get("phases"):
            start = schedule["phases"][0]["start_date"]
            schedule["phases"] = read_phases(call, schedule["customer"], start)
            note_bare_phases(world, schedule, call.get("phases"))
        check_settings(call, schedule)
        schedule["pause_schedules"] = read_pauses(call, schedule)
    else:
        _update_running(call, schedule, known)
    plan_expiry(world, schedule)
    schedule = world.change(schedule)
    return plan_pause(world, schedule) if "pause_schedules" in call.params else schedule


def _update_running(call: Call, schedule: Document, known: ReadOnly) -> None:
    """Update a schedule that has begun; `known` is its current phase as it was."""
    world = call.world
    if call.get("phases"):
        _replace_phases(call, schedule)
    check_settings(call, schedule)
    subscription = world.find("subscription", schedule["subscription"])
    schedule["pause_schedules"] = read_pauses(call, schedule, subscription)
    set_end(world, subscription, schedule)
    world.change(subscription)
    if call.params.keys() & {"default_settings", "phases"}:
        behavior = call.get("proration_behavior", "create_prorations")
        change_current_phase(world, schedule, known, behavior)


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


def _current_phase(schedule: ReadOnly) -> Document:
    """Return the current phase, with the settings that it has by the schedule's defaults."""
    start = schedule["current_phase"]["start_date"]
    phase = next(one for one in schedule["phases"] if one["start_date"] == start)
    return {**phase, **{name: setting_of(schedule, phase, name) for name in SETTINGS}}


def _replace_phases(call: Call, schedule: Document) -> None:
    """Replace the phases from the current one on."""
    current = schedule["current_phase"]
    past = [phase for phase in schedule["phases"] if phase["end_date"] <= current["start_date"]]
    given = read_phases(call, schedule["customer"], current["start_date"])
    if given[0]["end_date"] <= call.world.time_of(schedule):
        raise invalid("The current phase must end in the future.", param="phases[0][end_date]")
    schedule["phases"] = [*past, *given]
    note_bare_phases(call.world, schedule, call.get("phases"))
    schedule["current_phase"] = {name: given[0][name] for name in ("start_date", "end_date")}


def release_schedule(call: Call) -> Document:
    """Stop the schedule and leave the subscription as it is."""
    schedule = _open_schedule(call, "release")
    return release(call.world, schedule, keeps_end=bool(call.get("preserve_cancel_date")))


def cancel(call: Call) -> Document:
    """Cancel the schedule and its subscription now; both are on unless they are false."""
    world = call.world
    schedule = _open_schedule(call, "cancel")
    if schedule["subscription"] is None:
        return cancel_unstarted(world, schedule)
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
MOMENTS = ("canceled_at", "completed_at", "released_at")
SHARED = supports(
    "metadata",
    "pause_schedules",
    default_settings=DEFAULT_SETTINGS,
    end_behavior=one_of("cancel", "release"),
)
CREATE = supports(
    "customer", "from_subscription", base=SHARED, phases=PHASE, start_date=one_of(int, "now")
)
UPDATE = supports(
    "proration_behavior",
    base=SHARED,
    phases=supports(base=PHASE, start_date=one_of(int)),
)

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
    Operation("POST", f"{PATH}/{{id}}", SubscriptionScheduleUpdateParams, update, UPDATE),
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
