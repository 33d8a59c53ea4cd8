"""Domains: what a registrar is not done with, what expires, and what was ordered last."""

from typing import get_args

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.domains.names import read_name
from mpanel_billing.http import keys
from mpanel_billing.provisioning.registrar.retrying import retry_domain
from mpanel_billing.search.work_lists import DomainList, get_domain, list_domains

pages = Pages()

_HOME = "/console/domains"
MOST = 50
LISTS: tuple[DomainList, ...] = get_args(DomainList)


@pages.page(_HOME, scope="admin:read")
async def show_domains(visit: Visit, given: Given) -> Page:
    """Show the domains of a list, those in trouble unless others are asked for."""
    asked = given.text("list")
    which = next((one for one in LISTS if one == asked), LISTS[0])
    rows = await list_domains(visit.app[keys.POOL], which, MOST)
    values = {"which": which, "lists": LISTS, "domains": rows, "is_cut": len(rows) == MOST}
    return Page("domains.html", values)


retry = pages.action("retry_domain", f"{_HOME}/{{id}}/retry", scope="admin:operate")


@retry.show
async def show_retry(visit: Visit, given: Given) -> Page:
    """Show what is tried again: what the registrar refused, or the refund of a lost name."""
    return Page("retry_domain.html", {"domain": await get_domain(visit.app[keys.POOL], given.id)})


@retry.do
async def do_retry(visit: Visit, given: Given) -> Done:
    """Have the worker look at the domain now."""
    pool = visit.app[keys.POOL]
    domain = await get_domain(pool, given.id)
    await retry_domain(pool, read_name(domain["name"]), visit.actor, only=given.id)
    return Done(_HOME, "domain_retried")
