"""Customer records that were merged, and apart again within a day."""

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys
from mpanel_billing.subscriptions.merging import (
    CustomerRequest,
    list_merges,
    show_merge,
    undo_merge,
)

pages = Pages()

MOST = 50


@pages.page("/console/merges", scope="admin:read")
async def show_merges(visit: Visit, given: Given) -> Page:
    """Show which records were merged into which, the latest first."""
    rows = await list_merges(visit.app[keys.POOL], MOST, given.number("before"))
    more = rows[-1]["id"] if len(rows) == MOST else None
    return Page("merges.html", {"merges": rows, "more": more})


undoing = pages.action(
    "undo_merge", "/console/customers/{id}/undo-merge", scope="billing:customers"
)


@undoing.show
async def show_undo(visit: Visit, given: Given) -> Page:
    """Show what goes back to the record."""
    return Page("undo_merge.html", {"merge": await show_merge(visit.app[keys.POOL], given.id)})


@undoing.do
async def do_undo(visit: Visit, given: Given) -> Done:
    """Take the two records apart again; ConflictError once it is too late."""
    await undo_merge(visit.app[keys.POOL], CustomerRequest(visit.actor, given.id))
    return Done(f"/console/customers/{given.id}", "merge_undone")
