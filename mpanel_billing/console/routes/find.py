"""Find: one box for all that an operator may know of a customer."""

from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.search.service import find
from mpanel_billing.search.terms import SHORTEST

pages = Pages()

MOST = 25


@pages.page("/console/find", scope="admin:read")
async def show_find(visit: Visit, given: Given) -> Page:
    """Show the customers whom a text names, with their latest subscriptions.

    Stripe is asked for an id that is not on record once the text is sent, not while it is typed.
    """
    text = " ".join(given.text("q").split())
    if len(text) < SHORTEST:
        return Page("find.html", {"q": text, "found": None, "shortest": SHORTEST})
    mirror = visit.app[keys.MIRROR]
    typing = "HX-Request" in visit.request.headers
    try:
        found = await find(mirror.pool, text, MOST, None if typing else mirror.stripe)
    except InvalidRequestError as error:
        return Page("find.html", {"q": text, "found": None, "error": error}, error.status)
    return Page("find.html", {"q": text, "found": found, "typing": typing})
