"""The servers of product types that have several, and the accounts that move between them."""

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys
from mpanel_billing.provisioning import moves

pages = Pages()

_HOME = "/console/servers"
_SERVER = f"{_HOME}/{{id}}"
MOST = 50


@pages.page(_HOME, scope="admin:read")
async def show_servers(visit: Visit, given: Given) -> Page:
    """Show what each server has to carry, and the moves that are not over."""
    pool, server = visit.app[keys.POOL], given.text("server") or None
    rows = await moves.list_page(pool, server, given.number("after") or 0, MOST)
    values = {
        "servers": await moves.list_servers(pool),
        "server": server,
        "moves": rows,
        "more": rows[-1]["id"] if len(rows) == MOST else None,
    }
    return Page("servers.html", values)


drain = pages.action("drain", f"{_SERVER}/drain", scope="admin:operate")


@drain.show
async def show_drain(visit: Visit, given: Given) -> Page:
    """Show how many accounts move, and where they may go."""
    pool, name = visit.app[keys.POOL], _name(given)
    own = await moves.get_server(pool, name)
    types = {load.product_type for load in own}
    others = [
        load
        for load in await moves.list_servers(pool)
        if load.product_type in types and load.server != name
    ]
    values = {"name": name, "own": own, "others": others, "to": given.text("to")}
    return Page("drain.html", {**values, "names": sorted({load.server for load in others})})


@drain.do
async def do_drain(visit: Visit, given: Given) -> Page:
    """Begin to empty the server; say what could not be begun, and why."""
    emptied = await moves.drain_server(
        visit.app[keys.POOL], _name(given), visit.actor, to_server=given.text("to") or None
    )
    return Page("drained.html", {"name": _name(given), "emptied": emptied})


fill = pages.action("fill", f"{_SERVER}/fill", scope="admin:operate")


@fill.show
async def show_fill(visit: Visit, given: Given) -> Page:
    """Show that the server gets accounts again."""
    own = await moves.get_server(visit.app[keys.POOL], _name(given))
    return Page("fill.html", {"name": _name(given), "own": own})


@fill.do
async def do_fill(visit: Visit, given: Given) -> Done:
    """Let the server get accounts again."""
    await moves.stop_draining(visit.app[keys.POOL], _name(given), visit.actor)
    return Done(_HOME, "filled")


all_moved = pages.action("all_moved", f"{_SERVER}/moved", scope="admin:operate")


@all_moved.show
async def show_all_moved(visit: Visit, given: Given) -> Page:
    """Show how many accounts leave the server."""
    own = await moves.get_server(visit.app[keys.POOL], _name(given))
    return Page("all_moved.html", {"name": _name(given), "own": own})


@all_moved.do
async def do_all_moved(visit: Visit, given: Given) -> Done:
    """Say of all accounts that are made elsewhere that their data was moved."""
    is_gone = given.text("server_is_gone") == "yes"
    await moves.confirm_moves_from(
        visit.app[keys.POOL], _name(given), visit.actor, is_server_gone=is_gone
    )
    return Done(_HOME, "all_moved")


def _name(given: Given) -> str:
    return given.path["id"]
