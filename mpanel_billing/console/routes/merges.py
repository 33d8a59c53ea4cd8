"""Customer records that were merged, and apart again within a day."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.search.customer import read_record
from mpanel_billing.search.service import find
from mpanel_billing.search.terms import SHORTEST
from mpanel_billing.subscriptions.merging import (
    CustomerRequest,
    link_user,
    list_merges,
    merge_customers,
    preview_link,
    preview_merge,
    show_merge,
    undo_merge,
)

pages = Pages()

MOST = 50
MOST_ALIKE = 10


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


merging = pages.action("merge", "/console/customers/{id}/merge", scope="billing:customers")


@merging.show
async def show_merging(visit: Visit, given: Given) -> Page:
    """Show records that may be the same person's, or what moves into one of them."""
    pool, into = visit.app[keys.POOL], given.text("into")
    customer = (await read_record(pool, given.id)).customer
    who = given.text("who") or customer["email"] or customer["name"] or ""
    values: dict[str, Any] = {"customer": customer, "who": who, "into": into, "merge": None}
    try:
        values["alike"] = await _list_alike(visit, who, customer["id"])
        if into:
            values["merge"] = await preview_merge(pool, given.id, _record(into))
    except BillingError as error:
        shown = {"alike": (), **values, "error": error}
        return Page("merge.html", shown, error.status)
    return Page("merge.html", values)


@merging.do
async def do_merge(visit: Visit, given: Given) -> Done:
    """Make the two records one."""
    into = _record(given.text("into"))
    await merge_customers(visit.app[keys.POOL], CustomerRequest(visit.actor, given.id), into)
    return Done(f"/console/customers/{into}", "merged")


async def _list_alike(visit: Visit, who: str, customer_id: UUID) -> Sequence[Any]:
    """Return the other records that a text finds; those that have joined another do not count."""
    if len(who) < SHORTEST:
        return ()
    found = await find(visit.app[keys.POOL], who, MOST_ALIKE)
    return [
        one.customer
        for one in found.customers
        if one.customer["id"] != customer_id and one.customer["joined_id"] is None
    ]


linking = pages.action("link_user", "/console/customers/{id}/link-user", scope="billing:customers")


@linking.show
async def show_linking(visit: Visit, given: Given) -> Page:
    """Show which account in mPanel a record would get."""
    pool, account = visit.app[keys.POOL], given.text("account")
    values = {"link": await preview_link(pool, given.id, None), "account": account}
    try:
        if account:
            values["link"] = await preview_link(pool, given.id, _record(account))
    except BillingError as error:
        return Page("link_user.html", {**values, "error": error}, error.status)
    return Page("link_user.html", values)


@linking.do
async def do_link(visit: Visit, given: Given) -> Done:
    """Give the record its account."""
    account = _record(given.text("account"))
    await link_user(visit.app[keys.POOL], CustomerRequest(visit.actor, given.id), account)
    return Done(f"/console/customers/{given.id}", "linked")


def _record(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidRequestError(say("refusal.no_id")) from None
