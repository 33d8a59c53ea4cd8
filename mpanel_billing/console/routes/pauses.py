"""Pause a subscription: what it stops, when, and what is credited."""

from datetime import datetime
from typing import Any

from mpanel_billing.console.forms import read_day
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.errors import BillingError
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.base import LONGEST_REASON
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.pausing import pause, preview_pause
from mpanel_billing.subscriptions.records import Subscription

pages = Pages()

pausing = pages.action("pause", "/console/subscriptions/{id}/pause", scope="billing:change")


@pausing.show
async def show_pause(visit: Visit, given: Given) -> Page:
    """Show which services stop when, and how it goes on."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    values: dict[str, Any] = {
        "subscription": held,
        "until": given.text("until"),
        "reason": given.text("reason"),
        "preview": None,
        "key": given.form_key,
    }
    try:
        request = _request(visit, given, held)
        values["preview"] = await preview_pause(mirror, request, _until(visit, given))
    except BillingError as error:
        return Page("pause.html", {**values, "error": error}, error.status)
    return Page("pause.html", values)


@pausing.do
async def do_pause(visit: Visit, given: Given) -> Done:
    """Pause it as it was shown; the same form once."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    await pause(
        mirror,
        _request(visit, given, held),
        until=_until(visit, given),
        reason=given.line("reason", LONGEST_REASON) or None,
        promise=given.text("promise"),
    )
    return Done(f"/console/subscriptions/{held.id}", "paused")


def _request(visit: Visit, given: Given, held: Subscription) -> ChangeRequest:
    key = given.text("key") or None
    return ChangeRequest(visit.actor, held.id, CustomerRef(held.customer_id), key)


def _until(visit: Visit, given: Given) -> datetime | None:
    text = given.text("until")
    return read_day(text, visit.zone, is_start=True) if text else None
