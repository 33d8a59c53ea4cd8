"""Prices at Stripe that the catalogue does not have: an operator says that they give nothing."""

from collections.abc import Mapping
from typing import Any

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.provisioning import operations

pages = Pages()

_ONE = "/console/prices/{id}"

ignoring = pages.action("ignore_price", f"{_ONE}/ignore", scope="admin:operate")


@ignoring.show
async def show_ignore(visit: Visit, given: Given) -> Page:
    """Show how many subscriptions have an item at the price; it is found by the item, too."""
    price = await _outside(visit, given)
    if price["reason"] is not None:
        raise ConflictError(say("refusal.ignored_already"))
    return Page("ignore_price.html", {"price": price, "reason": given.text("reason")})


@ignoring.do
async def do_ignore(visit: Visit, given: Given) -> Done:
    """Have items at the price give nothing, and be no trouble."""
    price = await _outside(visit, given)
    await operations.ignore_price(
        visit.app[keys.POOL],
        price["stripe_price_id"],
        reason=given.reason(),
        operator=visit.actor.person or visit.actor.name,
        by=visit.actor,
    )
    return Done("/console/catalogue", "price_ignored")


heeding = pages.action("heed_price", f"{_ONE}/heed", scope="admin:operate")


@heeding.show
async def show_heed(visit: Visit, given: Given) -> Page:
    """Show what the price counts as from then on."""
    price = await operations.get_outside_price(visit.app[keys.POOL], given.path["id"])
    if price["reason"] is None:
        raise ConflictError(say("refusal.not_ignored"))
    return Page("heed_price.html", {"price": price})


@heeding.do
async def do_heed(visit: Visit, given: Given) -> Done:
    """Take back that items at the price give nothing."""
    await operations.heed_price(visit.app[keys.POOL], given.path["id"], visit.actor)
    return Done("/console/catalogue", "price_heeded")


async def _outside(visit: Visit, given: Given) -> Mapping[str, Any]:
    """Return a price of a subscription; NotFoundError, ConflictError for one of the catalogue."""
    price = await operations.get_outside_price(visit.app[keys.POOL], given.path["id"])
    if price["is_in_catalogue"]:
        raise ConflictError(say("refusal.in_catalogue"))
    if not price["subscriptions"]:
        raise NotFoundError(say("refusal.nobody_has_price"))
    return dict(price)
