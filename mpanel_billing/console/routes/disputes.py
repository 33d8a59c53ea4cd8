"""Disputes by deadline, and the evidence for the bank."""

from collections.abc import Mapping, Sequence
from typing import get_args

from asyncpg import Record

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys
from mpanel_billing.subscriptions.disputes import (
    get_dispute,
    give_evidence,
    list_latest,
    read_evidence,
)
from mpanel_billing.subscriptions.evidence import MOST as LONGEST
from mpanel_billing.subscriptions.evidence import EvidenceField
from mpanel_billing.subscriptions.lookup import CustomerRef

pages = Pages()

MOST = 50
FIELDS: tuple[EvidenceField, ...] = get_args(EvidenceField)


@pages.page("/console/disputes", scope="billing:read")
async def show_disputes(visit: Visit, given: Given) -> Page:
    """Show disputes: those that wait for an answer, the most urgent first; or all, in pages."""
    only_open = given.text("all") == ""
    after = None if only_open else given.text("after") or None
    rows = await list_latest(
        visit.app[keys.MIRROR], CustomerRef(), MOST + 1, only_open=only_open, after=after
    )
    shown, more = _page_of(rows)
    values = {"disputes": shown, "only_open": only_open, "more": more}
    return Page("disputes.html", values)


@pages.page("/console/customers/{id}/disputes", scope="billing:read")
async def show_disputes_of(visit: Visit, given: Given) -> Page:
    """Show all disputes of a customer, the latest first, page by page."""
    after = given.text("after") or None
    rows = await list_latest(visit.app[keys.MIRROR], CustomerRef(given.id), MOST + 1, after=after)
    shown, more = _page_of(rows)
    values = {"customer_id": given.id, "disputes": shown, "more": more}
    return Page("customer_disputes.html", values)


def _page_of(rows: Sequence[Record]) -> tuple[Sequence[Record], str | None]:
    """Return the disputes of a page, and the last of them if there are more."""
    return rows[:MOST], rows[MOST - 1]["stripe_dispute_id"] if len(rows) > MOST else None


evidence = pages.action("evidence", "/console/disputes/{id}/evidence", scope="billing:refund")


@evidence.show
async def show_evidence(visit: Visit, given: Given) -> Page:
    """Show the evidence that is staged, or else what our records say, to be edited."""
    mirror, id_ = visit.app[keys.MIRROR], given.path["id"]
    dispute = await get_dispute(mirror, id_, CustomerRef())
    found = await read_evidence(mirror, id_)
    texts = {**found.fields, **_texts(given)}
    values = {"dispute": dispute, "texts": texts, "fields": FIELDS, "submitted": found.submitted}
    return Page("evidence.html", {**values, "longest": LONGEST})


@evidence.do
async def do_evidence(visit: Visit, given: Given) -> Done:
    """Stage the evidence at Stripe, or send it on to the bank, which takes it once."""
    submit = given.text("submit") == "yes"
    mirror, id_ = visit.app[keys.MIRROR], given.path["id"]
    await get_dispute(mirror, id_, CustomerRef())
    await give_evidence(mirror, id_, _texts(given), visit.actor, submit=submit)
    notice = "evidence_submitted" if submit else "evidence_staged"
    return Done(f"/console/disputes/{id_}/evidence", notice)


def _texts(given: Given) -> Mapping[str, str]:
    """Return the texts of a form; one that was emptied is given, too, and left out then."""
    return {name: given.text(name)[:LONGEST] for name in FIELDS if name in given.fields}
