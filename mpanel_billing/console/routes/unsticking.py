"""Provisioning that is stuck: all of it tried again, or a service left out."""

from collections.abc import Mapping
from typing import Any

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.provisioning import operations
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription

pages = Pages()

MOST_SHOWN = 50

retry_all = pages.action("retry_all", "/console/trouble/retry-all", scope="admin:operate")


@retry_all.show
async def show_retry_all(visit: Visit, _: Given) -> Page:
    """Show what is stuck: what is tried again now, and what has no work left to try."""
    stuck = await operations.list_all_stuck(visit.app[keys.POOL])
    unfinished = [row for row in stuck if row["unfinished"]]
    values = {"stuck": unfinished, "most": MOST_SHOWN, "others": len(stuck) - len(unfinished)}
    return Page("retry_all.html", values)


@retry_all.do
async def do_retry_all(visit: Visit, _: Given) -> Done:
    """Try all again that are stuck."""
    await operations.retry_all(visit.app[keys.POOL], visit.actor)
    return Done("/console/trouble", "all_retried")


skip = pages.action("skip", "/console/subscriptions/{id}/skip", scope="admin:operate")


@skip.show
async def show_skip(visit: Visit, given: Given) -> Page:
    """Show how the service stays."""
    held = await get_subscription(visit.app[keys.MIRROR], given.id, CustomerRef())
    service = await _service(visit, given)
    if service["stopped"] == "skipped":
        raise ConflictError(say("refusal.skipped_already"))
    return Page("skip.html", {"subscription": held, "service": service})


@skip.do
async def do_skip(visit: Visit, given: Given) -> Done:
    """Leave the service as it is until another state is desired, or it is retried."""
    service = await _service(visit, given)
    await operations.skip(visit.app[keys.POOL], given.id, service["product_type"], visit.actor)
    return Done(f"/console/subscriptions/{given.id}", "skipped")


async def _service(visit: Visit, given: Given) -> Mapping[str, Any]:
    asked = given.text("service")
    for service in await operations.list_services(visit.app[keys.POOL], given.id):
        if service["product_type"] == asked:
            return dict(service)
    raise NotFoundError(say("refusal.no_service"))
