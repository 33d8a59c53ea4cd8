"""A usage limit that suspends a subscription, lifted for the rest of its term."""

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError
from mpanel_billing.http import keys
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.usage.current import read_current
from mpanel_billing.usage.limits import lift_limits

pages = Pages()

lift = pages.action("lift_usage", "/console/subscriptions/{id}/lift-usage", scope="billing:refund")


@lift.show
async def show_lift(visit: Visit, given: Given) -> Page:
    """Show which limits suspend the subscription, and what goes on until when."""
    mirror = visit.app[keys.MIRROR]
    held = await get_subscription(mirror, given.id, CustomerRef())
    reached = [one for one in await read_current(mirror.pool, given.id) if one.suspends]
    if not reached:
        raise ConflictError(say("refusal.no_usage_limit"))
    values = {"subscription": held, "reached": reached, "reason": given.text("reason")}
    return Page("lift_usage.html", values)


@lift.do
async def do_lift(visit: Visit, given: Given) -> Done:
    """Lift the limits that were shown for the rest of the term."""
    meters = given.text("meters").split()
    await lift_limits(visit.app[keys.POOL], given.id, given.reason(), visit.actor, shown=meters)
    return Done(f"/console/subscriptions/{given.id}", "usage_lifted")
