"""What a customer who wants to cancel is offered to stay."""

from mpanel_billing.console.forms import read_hidden_number
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.base import LONGEST_REASON
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.retention_offers import find_offer, take_offer

pages = Pages()

taking = pages.action(
    "take_offer", "/console/subscriptions/{id}/take-offer", scope="billing:change"
)


@taking.show
async def show_take(visit: Visit, given: Given) -> Page:
    """Show what is offered, and the next charge with it."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    offer = await find_offer(mirror, _request(visit, given, held))
    if offer is None:
        raise ConflictError(say("refusal.no_offer"), code="no_offer")
    values = {"subscription": held, "offer": offer, "reason": given.text("reason")}
    return Page("take_offer.html", values | {"key": given.form_key})


@taking.do
async def do_take(visit: Visit, given: Given) -> Done:
    """Give it to them as it was shown; the same form once."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    await take_offer(
        mirror,
        _request(visit, given, held),
        reason=given.line("reason", LONGEST_REASON) or None,
        shown=(given.text("coupon"), read_hidden_number(given.text("amount"))),
    )
    return Done(f"/console/subscriptions/{held.id}", "offer_taken")


def _request(visit: Visit, given: Given, held: Subscription) -> ChangeRequest:
    key = given.text("key") or None
    return ChangeRequest(visit.actor, held.id, CustomerRef(held.customer_id), key)
