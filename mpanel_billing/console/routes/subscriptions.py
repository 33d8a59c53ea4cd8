"""A subscription with its whole story, and what an operator does to it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from mpanel_billing.console.forms import read_day, read_hidden_time
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.stories import read_story
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.base import LONGEST_REASON
from mpanel_billing.provisioning import leniency, operations
from mpanel_billing.provisioning.moves import list_moves_of
from mpanel_billing.search.customer import read_trouble
from mpanel_billing.search.work_lists import with_objects
from mpanel_billing.subscriptions.access_data import list_kept
from mpanel_billing.subscriptions.lifecycle import ChangeRequest, Feedback, cancel
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.retention_offers import RetentionOffer, find_offer
from mpanel_billing.subscriptions.trials import change_trial, preview_trial
from mpanel_billing.usage.current import read_current

pages = Pages()

Row = Mapping[str, Any]

_ONE = "/console/subscriptions/{id}"
_TRIAL_DAYS = 7
"""What an extension of a trial is proposed to be."""

_WORKER_DOES = frozenset(
    {
        *("retried", "suspended", "lifted", "plan_changed", "usage_lifted"),
        *("moving", "moved", "stays", "agreed", "agreement_ended", "paused", "skipped"),
        *("revived", "payment_kept", "draft_collected", "adopted"),
    }
)
_MOST_LOOKS = 10
"""One a second."""

FEEDBACK: tuple[Feedback, ...] = get_args(Feedback)


@pages.page(_ONE, scope="admin:read")
async def show_subscription(visit: Visit, given: Given) -> Page:
    """Show a subscription: items, services, trouble, and everything on record, newest first."""
    pool = visit.app[keys.POOL]
    values = {"usage": (), **await _facts(visit, given)}
    if visit.may("billing:read"):
        values["usage"] = await read_current(pool, given.id)
    values |= await _servers(visit, given, values["services"])
    may_hand_out = visit.may("billing:access-data")
    values["kept"] = await list_kept(pool, given.id) if may_hand_out else ()
    may_adopt = visit.may("admin:operate") and not values["subscription"].is_over
    values["adoptable"] = await operations.list_adoptable(pool, given.id) if may_adopt else ()
    values["has_accounts"] = any(
        one["actual"] in {"active", "suspended"} for one in values["services"]
    )
    story = await read_story(visit, (given.id,))
    done = given.text("done")
    values |= {"story": story, "done": done, "look": _next_look(done, given.number("look") or 0)}
    return Page("subscription.html", values)


async def _servers(visit: Visit, given: Given, services: Sequence[Row]) -> dict[str, Any]:
    """Return which services are on a server with a name, and which of them move."""
    placed = [one for one in services if one["server"] is not None]
    moving = await list_moves_of(visit.app[keys.POOL], given.id) if placed else ()
    return {"placed": placed, "moving": {one["product_type"]: one for one in moving}}


def _next_look(done: str, last: int) -> int | None:
    """Return which look at the page this is, if the browser is to look once more; else None.

    The worker takes moments for what was asked of it: the page shows by itself what comes of it.
    """
    return last + 1 if done in _WORKER_DOES and last < _MOST_LOOKS else None


async def _facts(visit: Visit, given: Given) -> dict[str, Any]:
    """Return what every page about a subscription shows."""
    pool = visit.app[keys.POOL]
    return {
        "subscription": await _subscription(visit, given),
        "services": await operations.list_services(pool, given.id),
        "hold": await operations.get_hold(pool, given.id),
        "leniency": await leniency.list_leniency(pool, given.id),
        "trouble": await with_objects(pool, await read_trouble(pool, given.id)),
        "retention_days": visit.app[keys.SETTINGS].retention_days,
    }


async def _subscription(visit: Visit, given: Given) -> Subscription:
    return await get_subscription(visit.app[keys.MIRROR], given.id, CustomerRef())


def _page_of(given: Given) -> str:
    return f"/console/subscriptions/{given.id}"


retry = pages.action("retry", f"{_ONE}/retry", scope="admin:operate")


@retry.show
async def show_retry(visit: Visit, given: Given) -> Page:
    """Show which services are not as they should be."""
    return Page("retry.html", await _facts(visit, given))


@retry.do
async def do_retry(visit: Visit, given: Given) -> Done:
    """Try again now what failed, was refused or was skipped."""
    await operations.retry(visit.app[keys.POOL], given.id, visit.actor)
    return Done(_page_of(given), "retried")


suspend = pages.action("suspend", f"{_ONE}/suspend", scope="admin:operate")


@suspend.show
async def show_suspend(visit: Visit, given: Given) -> Page:
    """Show which services stop."""
    values = await _facts(visit, given)
    if values["hold"]:
        raise ConflictError(say("refusal.suspended_already"))
    return Page("suspend.html", {**values, "reason": given.text("reason")})


@suspend.do
async def do_suspend(visit: Visit, given: Given) -> Done:
    """Suspend all services until it is lifted."""
    await operations.suspend(
        visit.app[keys.POOL],
        given.id,
        reason=given.reason(),
        operator=visit.actor.person or visit.actor.name,
        by=visit.actor,
    )
    return Done(_page_of(given), "suspended")


lift = pages.action("lift", f"{_ONE}/lift", scope="admin:operate")


@lift.show
async def show_lift(visit: Visit, given: Given) -> Page:
    """Show what comes back."""
    values = await _facts(visit, given)
    if not values["hold"]:
        raise ConflictError(say("refusal.not_suspended"))
    return Page("lift.html", values)


@lift.do
async def do_lift(visit: Visit, given: Given) -> Done:
    """Lift the suspension that was shown; ConflictError for another one."""
    pool, operator = visit.app[keys.POOL], visit.actor.person or visit.actor.name
    hold = await operations.get_hold(pool, given.id)
    if hold and hold["placed_at"] != read_hidden_time(given.text("placed_at")):
        raise ConflictError(say("refusal.another_hold"), code="preview_outdated")
    await operations.lift(pool, given.id, operator=operator, by=visit.actor)
    return Done(_page_of(given), "lifted")


cancellation = pages.action("cancel", f"{_ONE}/cancel", scope="billing:change")


@cancellation.show
async def show_cancel(visit: Visit, given: Given) -> Page:
    """Show what ends when, for each way to cancel."""
    values = await _facts(visit, given)
    _require_running(values["subscription"])
    asked = {name: given.text(name) for name in ("ends", "feedback", "reason")}
    values["offer"] = await _offer(visit, given, values["subscription"])
    return Page("cancel.html", {**values, **asked, "feedbacks": FEEDBACK, "key": given.form_key})


async def _offer(visit: Visit, given: Given, held: Subscription) -> RetentionOffer | None:
    """Return what they are offered to stay; nothing is before the first payment."""
    if held.stripe_id is None:
        return None
    return await find_offer(visit.app[keys.MIRROR], _request(visit, given, held))


@cancellation.do
async def do_cancel(visit: Visit, given: Given) -> Done:
    """Cancel at the end of the term, or now without giving anything back."""
    ends = given.text("ends")
    if ends not in {"period_end", "now"}:
        raise InvalidRequestError(say("refusal.no_end"))
    held = await _subscription(visit, given)
    await cancel(
        visit.app[keys.MIRROR],
        _request(visit, given, held),
        at_period_end=ends == "period_end",
        reason=given.text("reason")[:LONGEST_REASON] or None,
        feedback=next((one for one in FEEDBACK if one == given.text("feedback")), None),
    )
    return Done(_page_of(given), "cancelled")


trial = pages.action("extend_trial", f"{_ONE}/trial", scope="billing:refund")


@trial.show
async def show_trial(visit: Visit, given: Given) -> Page:
    """Show what another end of the trial means."""
    values = await _facts(visit, given)
    held: Subscription = values["subscription"]
    if held.stripe_status != "trialing" or held.trial_end is None:
        raise ConflictError(say("refusal.not_in_trial"), code="not_in_trial")
    proposed = max(held.trial_end, datetime.now(UTC)) + timedelta(days=_TRIAL_DAYS)
    ends = given.text("ends") or f"{proposed.astimezone(visit.zone):%Y-%m-%d}"
    values |= {"ends": ends, "reason": given.text("reason"), "preview": None, "key": given.form_key}
    try:
        ends_at = read_day(ends, visit.zone)
        preview = await preview_trial(visit.app[keys.MIRROR], _request(visit, given, held), ends_at)
    except (InvalidRequestError, ConflictError) as error:
        return Page("trial.html", {**values, "error": error}, error.status)
    return Page("trial.html", {**values, "preview": preview})


@trial.do
async def do_trial(visit: Visit, given: Given) -> Done:
    """Let the trial end at the time that was shown."""
    held = await _subscription(visit, given)
    ends_at = read_day(given.text("ends"), visit.zone)
    await change_trial(
        visit.app[keys.MIRROR], _request(visit, given, held), ends_at, reason=given.reason()
    )
    return Done(_page_of(given), "trial_extended")


def _request(visit: Visit, given: Given, held: Subscription) -> ChangeRequest:
    return ChangeRequest(
        visit.actor, held.id, CustomerRef(held.customer_id), given.text("key") or None
    )


def _require_running(held: Subscription) -> None:
    if held.is_over:
        raise ConflictError(say("refusal.ended"), code="subscription_ended")
