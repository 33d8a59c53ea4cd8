"""Who did what: the audit log, by person, key and object."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from textwrap import shorten
from typing import Any, get_args

from mpanel_billing.access import audit
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.private import details_for_all, error_for_all, without_amounts
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys

pages = Pages()

MOST = 50
OUTCOMES: tuple[audit.Found, ...] = get_args(audit.Found)
_LONGEST_ID = 19
"""Of the number of a change: it fits into a bigint."""
_LONGEST = 300
"""Of what is said about a change; `mpanel-billing audit list --json` has all of it."""


@pages.page("/console/audit", scope="admin:read")
async def show_audit(visit: Visit, given: Given) -> Page:
    """Show the latest changes with their outcome: all, or a person's, a key's, or of one object."""
    asked = {name: given.text(name) for name in ("person", "actor", "target")}
    entries = await audit.list_entries(
        visit.app[keys.POOL],
        most=MOST,
        person=asked["person"] or None,
        actor=asked["actor"] or None,
        target_id=asked["target"] or None,
        before=given.number("before") or audit.LAST_ID,
    )
    more = entries[-1]["id"] if len(entries) == MOST else None
    shown = [_as_seen(visit, dict(row)) for row in entries]
    return Page("audit.html", {**asked, "entries": shown, "more": more})


settling = pages.action("settle_audit", "/console/audit/{id}/settle", scope="admin:operate")


@settling.show
async def show_settle(visit: Visit, given: Given) -> Page:
    """Show a change of which nobody knows whether it took effect."""
    entry = await _unsettled(visit, given)
    values = {"entry": entry, "said": _as_seen(visit, entry)["said"]}
    values |= {name: given.text(name) for name in ("outcome", "reason")}
    return Page("settle_audit.html", values)


@settling.do
async def do_settle(visit: Visit, given: Given) -> Done:
    """Record what a person found out."""
    entry = await _unsettled(visit, given)
    outcome = next((one for one in OUTCOMES if one == given.text("outcome")), None)
    if outcome is None:
        raise InvalidRequestError(say("refusal.no_outcome"))
    await audit.settle(visit.app[keys.POOL], entry["id"], outcome, given.reason(), visit.actor)
    return Done("/console/audit", "settled")


async def _unsettled(visit: Visit, given: Given) -> Mapping[str, Any]:
    """Return a change of unknown outcome; NotFoundError, ConflictError."""
    text = given.path["id"]
    if not (text.isascii() and text.isdecimal() and len(text) < _LONGEST_ID):
        raise NotFoundError(say("refusal.not_found"))
    found = await audit.list_entries(visit.app[keys.POOL], most=1, before=int(text) + 1)
    if not found or found[0]["id"] != int(text):
        raise NotFoundError(say("refusal.not_found"))
    if found[0]["outcome"] != "attempted":
        raise ConflictError(say("refusal.outcome_known"))
    if found[0]["at"] > datetime.now(UTC) - audit.MAY_BE_UNDER_WAY:
        raise ConflictError(say("refusal.under_way"))
    return dict(found[0])


def _as_seen(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change with its details as one line; without money, if the key may not read that."""
    if visit.may("billing:read"):
        return {**row, "said": _said(row["details"])}
    error = error_for_all(row["target_type"], row["error"])
    return {**row, "error": error, "said": without_amounts(_said(details_for_all(row["details"])))}


def _said(details: Mapping[str, object]) -> str:
    """Return the details of a change as one line."""
    said = (
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in details.items()
    )
    return shorten("; ".join(said), _LONGEST, placeholder=" …")
