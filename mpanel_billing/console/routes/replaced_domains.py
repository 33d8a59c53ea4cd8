"""Another name for an order whose own could not be obtained."""

from typing import Any, Literal, get_args

from mpanel_billing.checkout.cart import DomainChoice
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.owned_domains import DomainRequest, get_domain
from mpanel_billing.subscriptions.replaced_domains import Replacing, choose_name, quote_name

pages = Pages()

Way = Literal["register", "transfer", "existing"]
"""How the customer gets a name: the last one is theirs already, and costs nothing."""
WAYS: tuple[Way, ...] = get_args(Way)
LONGEST_NAME = 253

replacing = pages.action("replace_domain", "/console/domains/{id}/replace", scope="billing:change")


@replacing.show
async def show_replace(visit: Visit, given: Given) -> Page:
    """Show what another name costs, whether it can be had, and when it is."""
    domain = await get_domain(visit.app[keys.MIRROR], given.id, CustomerRef())
    values: dict[str, Any] = {
        "domain": domain,
        "ways": WAYS,
        "way": given.text("way") or WAYS[0],
        "name": given.text("name"),
        "quoted": None,
        "key": given.form_key,
    }
    if not values["name"]:
        return Page("replace_domain.html", values)
    try:
        values["quoted"] = await quote_name(_replacing(visit), _request(visit, given), _read(given))
    except BillingError as error:
        return Page("replace_domain.html", {**values, "error": error}, error.status)
    return Page("replace_domain.html", values)


@replacing.do
async def do_replace(visit: Visit, given: Given) -> Done:
    """Choose the name for the price that was shown; the same form once."""
    choice, price = _read(given), given.number("price")
    if price is None and choice.mode != "existing":
        raise InvalidRequestError(say("refusal.start_again"))
    chosen = await choose_name(
        _replacing(visit),
        _request(visit, given),
        choice,
        price=price,
        key=given.text("key") or None,
    )
    return Done(f"/console/domains/{chosen.id}", "domain_replaced")


def _read(given: Given) -> DomainChoice:
    """Return the name that was entered, and how its customer gets it."""
    way = next((one for one in WAYS if one == given.text("way")), None)
    if way is None:
        raise InvalidRequestError(say("refusal.no_way"))
    return DomainChoice(way, given.line("name", LONGEST_NAME))


def _replacing(visit: Visit) -> Replacing:
    checkout = visit.app[keys.CHECKOUT]
    return Replacing(visit.app[keys.MIRROR], checkout.reserved, checkout.auth_codes)


def _request(visit: Visit, given: Given) -> DomainRequest:
    return DomainRequest(visit.actor, given.id, CustomerRef())
