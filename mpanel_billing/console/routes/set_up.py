"""Set-up: what the doctor finds, versions, webhooks, dunning, and how old secrets are."""

from collections.abc import Sequence

from mpanel_billing.console.examining import EXAMINER
from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.doctor.finding import Finding, Status

pages = Pages()

_GROUPS = {
    "versions": ("versions", "dbmate", "database", "schema"),
    "webhooks": ("webhook",),
    "dunning": ("dunning", "domain_renewals"),
    "stripe": ("stripe", "customer portal", "clock", "catalogue", "taxes"),
}
"""By what the names of findings begin with; anything else is of the service itself."""
_REST = "service"


@pages.page("/console/set-up", scope="admin:read")
async def show_set_up(visit: Visit, _: Given) -> Page:
    """Show what is wrong first, then everything by subject."""
    found = await visit.app[EXAMINER].examine(visit.app)
    values = {
        "at": found.at,
        "ages": found.ages,
        "wrong": [one for one in found.findings if one.status is not Status.OK],
        "groups": {
            group: [one for one in found.findings if _group_of(one) == group]
            for group in (*_GROUPS, _REST)
        },
        "faults": _count(found.findings, Status.FAILED),
        "warnings": _count(found.findings, Status.WARNING),
    }
    return Page("set_up.html", values)


def _group_of(finding: Finding) -> str:
    begins = (name for name, of in _GROUPS.items() if finding.name.startswith(of))
    return next(begins, _REST)


def _count(findings: Sequence[Finding], status: Status) -> int:
    return sum(one.status is status for one in findings)
