"""An account goes from one server to another: begun, its data moved, or called off."""

from typing import Any

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.provisioning import moves, operations
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription

pages = Pages()

_ONE = "/console/subscriptions/{id}"

move = pages.action("move", f"{_ONE}/move", scope="admin:operate")


@move.show
async def show_move(visit: Visit, given: Given) -> Page:
    """Show where the account is, and where it can go."""
    values = await _facts(visit, given)
    service = values["service"]
    loads = await moves.list_servers(visit.app[keys.POOL])
    others = [
        load
        for load in loads
        if load.product_type == service["product_type"] and load.server != service["server"]
    ]
    return Page("move.html", {**values, "others": others, "to": given.text("to")})


@move.do
async def do_move(visit: Visit, given: Given) -> Done:
    """Begin to move the account."""
    await moves.move_account(
        visit.app[keys.POOL], given.id, _type(given), given.text("to") or None, visit.actor
    )
    return Done(f"/console/subscriptions/{given.id}", "moving")


moved = pages.action("moved", f"{_ONE}/moved", scope="admin:operate")


@moved.show
async def show_moved(visit: Visit, given: Given) -> Page:
    """Show what becomes of the two accounts."""
    return Page("moved.html", _of_move(await _facts(visit, given)))


@moved.do
async def do_moved(visit: Visit, given: Given) -> Done:
    """Say that the data of the account was moved."""
    is_gone = given.text("server_is_gone") == "yes"
    await moves.confirm_move(
        visit.app[keys.POOL], given.id, _type(given), visit.actor, is_server_gone=is_gone
    )
    return Done(f"/console/subscriptions/{given.id}", "moved")


stay = pages.action("stay", f"{_ONE}/stay", scope="admin:operate")


@stay.show
async def show_stay(visit: Visit, given: Given) -> Page:
    """Show where the account stays."""
    return Page("stay.html", _of_move(await _facts(visit, given)))


@stay.do
async def do_stay(visit: Visit, given: Given) -> Done:
    """Call the move off."""
    await moves.cancel_move(visit.app[keys.POOL], given.id, _type(given), visit.actor)
    return Done(f"/console/subscriptions/{given.id}", "stays")


async def _facts(visit: Visit, given: Given) -> dict[str, Any]:
    pool = visit.app[keys.POOL]
    subscription = await get_subscription(visit.app[keys.MIRROR], given.id, CustomerRef())
    services = await operations.list_services(pool, given.id)
    service = next((one for one in services if one["product_type"] == _type(given)), None)
    if service is None:
        raise NotFoundError(say("refusal.no_service"))
    under_way = await moves.list_moves_of(pool, given.id)
    own = next((one for one in under_way if one["product_type"] == _type(given)), None)
    return {"subscription": subscription, "service": service, "move": own}


def _of_move(facts: dict[str, Any]) -> dict[str, Any]:
    if facts["move"] is None:
        raise ConflictError(say("refusal.does_not_move"))
    return facts


def _type(given: Given) -> str:
    return given.text("service")
