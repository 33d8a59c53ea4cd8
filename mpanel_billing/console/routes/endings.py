"""End a subscription with its unused time given back, and resume one that was to end."""

from dataclasses import replace
from typing import Any

from mpanel_billing.console.forms import read_hidden_number, read_hidden_time
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.errors import BillingError
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.base import LONGEST_REASON
from mpanel_billing.provisioning.operations import list_services
from mpanel_billing.subscriptions.ending import (
    Ending,
    UnusedTime,
    end_now,
    preview_ending,
)
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.pausing import preview_resume, resume_as_shown
from mpanel_billing.subscriptions.records import Subscription

pages = Pages()

_ONE = "/console/subscriptions/{id}"

ending = pages.action("end", f"{_ONE}/end", scope="billing:refund")


@ending.show
async def show_end(visit: Visit, given: Given) -> Page:
    """Show what is given back, and how, if the subscription ends now."""
    held = await _subscription(visit, given)
    mirror, request, wanted = visit.app[keys.MIRROR], _request(visit, given, held), _wanted(given)
    values = {
        **await _facts(visit, given, held),
        "unused": wanted.unused,
        "reason": given.text("reason"),
        "preview": None,
    }
    try:
        preview = await preview_ending(mirror, request, wanted)
    except BillingError as error:
        return Page("end.html", {**values, "error": error}, error.status)
    return Page("end.html", {**values, "preview": preview})


@ending.do
async def do_end(visit: Visit, given: Given) -> Done:
    """Give back exactly what was shown, and end it; ConflictError if that no longer holds."""
    held = await _subscription(visit, given)
    asked = replace(
        _wanted(given),
        at=read_hidden_time(given.text("at")),
        refunded=read_hidden_number(given.text("refunded")),
        credited=read_hidden_number(given.text("credited")),
    )
    await end_now(visit.app[keys.MIRROR], _request(visit, given, held), asked)
    return Done(f"/console/subscriptions/{held.id}", "ended")


resumption = pages.action("resume", f"{_ONE}/resume", scope="billing:change")


@resumption.show
async def show_resume(visit: Visit, given: Given) -> Page:
    """Show what is charged now if the subscription goes on."""
    held = await _subscription(visit, given)
    preview = await preview_resume(visit.app[keys.MIRROR], _request(visit, given, held))
    return Page("resume.html", {**await _facts(visit, given, held), "preview": preview})


@resumption.do
async def do_resume(visit: Visit, given: Given) -> Done:
    """Let it go on."""
    held = await _subscription(visit, given)
    due_now = read_hidden_number(given.text("due_now"))
    await resume_as_shown(visit.app[keys.MIRROR], _request(visit, given, held), due_now)
    return Done(f"/console/subscriptions/{held.id}", "resumed")


async def _facts(visit: Visit, given: Given, held: Subscription) -> dict[str, Any]:
    return {
        "subscription": held,
        "services": await list_services(visit.app[keys.POOL], given.id),
        "retention_days": visit.app[keys.SETTINGS].retention_days,
        "key": given.form_key,
    }


async def _subscription(visit: Visit, given: Given) -> Subscription:
    return await get_subscription(visit.app[keys.MIRROR], given.id, CustomerRef())


def _request(visit: Visit, given: Given, held: Subscription) -> ChangeRequest:
    key = given.text("key") or None
    return ChangeRequest(visit.actor, held.id, CustomerRef(held.customer_id), key)


def _wanted(given: Given) -> Ending:
    unused: UnusedTime = "credit" if given.text("unused") == "credit" else "refund"
    return Ending(unused, reason=given.text("reason")[:LONGEST_REASON] or None)
