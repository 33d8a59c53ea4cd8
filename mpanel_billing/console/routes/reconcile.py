"""Reconcile runs: what the latest found, how far one is, and a new one."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.reconciliation import runs

pages = Pages()

_HOME = "/console/reconcile"
MOST_RUNS = 20
MOST_DRIFT = 100
MOST_DAYS = 3650


@pages.page(_HOME, scope="admin:read")
async def show_runs(visit: Visit, given: Given) -> Page:
    """Show the latest runs, and what differed in one of them: the latest unless another is named.

    One that is not over is looked at again by the page itself.
    """
    pool = visit.app[keys.POOL]
    listed = await runs.list_runs(pool, MOST_RUNS)
    run = _named(listed, given.text("run"))
    values: dict[str, Any] = {"runs": listed, "run": run, "drift": (), "expected": 0}
    if run:
        values["drift"] = await runs.list_first_drift(pool, run["id"], MOST_DRIFT)
        values["expected"] = await runs.estimate_objects(pool)
    return Page("reconcile.html", {**values, "is_cut": len(values["drift"]) == MOST_DRIFT})


def _named(listed: Sequence[Mapping[str, Any]], text: str) -> Mapping[str, Any] | None:
    """Return a run by its id, the latest without one; NotFoundError for an unknown one."""
    if not text:
        return listed[0] if listed else None
    found = next((run for run in listed if str(run["id"]) == text), None)
    if found is None:
        raise NotFoundError(say("refusal.no_run"))
    return found


start = pages.action("reconcile", f"{_HOME}/start", scope="admin:operate")


@start.show
async def show_start(visit: Visit, given: Given) -> Page:
    """Show what a run compares, and what it does about what differs."""
    pool = visit.app[keys.POOL]
    latest = await runs.show_latest_run(pool)
    values = {
        "unfinished": latest if latest and latest["outcome"] is None else None,
        "objects": await runs.estimate_objects(pool),
        "per_second": visit.app[keys.SETTINGS].reconcile_requests_per_second,
        "dry_run": _is_dry(given),
        "days": given.text("days"),
    }
    return Page("reconcile_start.html", values)


@start.do
async def do_start(visit: Visit, given: Given) -> Done:
    """Request the run; a worker takes it. ConflictError if one is in progress."""
    app = visit.app
    request = runs.RunRequest("api", app[keys.SETTINGS].livemode, _is_dry(given), _days(given))
    await runs.request_run(app[keys.POOL], request, visit.actor)
    return Done(_HOME, "reconcile_started")


def _is_dry(given: Given) -> bool:
    return given.text("mode") == "report"


def _days(given: Given) -> int | None:
    days = given.number("days")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise InvalidRequestError(
            say("refusal.days_back", n=MOST_DAYS), fields={"days": "is not possible"}
        )
    return days
