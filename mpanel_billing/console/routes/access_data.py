"""What the owner of a new account logs in with: shown once, and then forgotten."""

from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.subscriptions.access_data import AccessRequest, hand_out, list_kept
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription

pages = Pages()

handing_out = pages.action(
    "access_data", "/console/subscriptions/{id}/access-data", scope="billing:access-data"
)


@handing_out.show
async def show_hand_out(visit: Visit, given: Given) -> Page:
    """Show that it is there, and that it is shown only once."""
    mirror, asked = visit.app[keys.MIRROR], given.text("service")
    held = await get_subscription(mirror, given.id, CustomerRef())
    if asked not in await list_kept(mirror.pool, given.id):
        raise NotFoundError(say("refusal.no_access_data"), code="no_access_data")
    return Page("access_data.html", {"subscription": held, "service": asked})


@handing_out.do
async def do_hand_out(visit: Visit, given: Given) -> Page:
    """Show it, and forget it."""
    asked = given.text("service")
    request = AccessRequest(visit.actor, given.id, asked, CustomerRef())
    data = await hand_out(visit.app[keys.MIRROR], visit.app[keys.VAULT], request)
    return Page("access_data_shown.html", {"data": data, "service": asked, "id": given.id})
