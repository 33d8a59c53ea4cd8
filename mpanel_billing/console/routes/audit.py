"""Who did what: the audit log, by person, key and object."""

import json
from collections.abc import Mapping
from textwrap import shorten

from mpanel_billing.access import audit
from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys

pages = Pages()

MOST = 50
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
    shown = [{**row, "said": _said(row["details"])} for row in entries]
    return Page("audit.html", {**asked, "entries": shown, "more": more})


def _said(details: Mapping[str, object]) -> str:
    """Return the details of a change as one line."""
    said = (
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in details.items()
    )
    return shorten("; ".join(said), _LONGEST, placeholder=" …")
