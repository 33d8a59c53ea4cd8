"""Domains: what a registrar is not done with, what is to be proven, what expires, what is new."""

from datetime import datetime
from typing import get_args

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.domains.names import read_name
from mpanel_billing.http import keys
from mpanel_billing.provisioning.proofs import (
    Decision,
    decide_proof,
    get_waiting,
    proof_checks_of,
)
from mpanel_billing.provisioning.registrar.retrying import retry_domain
from mpanel_billing.search.work_lists import DomainList, get_domain, list_domains
from mpanel_billing.subscriptions.domain_proofs import get_proof, verify_now
from mpanel_billing.subscriptions.lookup import CustomerRef

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


verify = pages.action("verify_domain", f"{_HOME}/{{id}}/verify", scope="billing:change")


@verify.show
async def show_verify(visit: Visit, given: Given) -> Page:
    """Show what proves that the domain is its buyer's, and what the last look has found."""
    domain = await get_proof(visit.app[keys.MIRROR], given.id, CustomerRef())
    told = domain.proof or {}
    moments = {
        name: datetime.fromisoformat(told[name]) if told.get(name) else None
        for name in ("checkedAt", "nextCheckAt", "expiresAt")
    }
    return Page("verify_domain.html", {"domain": domain, "moments": moments})


@verify.do
async def do_verify(visit: Visit, given: Given) -> Done:
    """Ask the domain's nameservers now."""
    mirror = visit.app[keys.MIRROR]
    checks = proof_checks_of(visit.app[keys.SETTINGS], mirror.pool)
    found = await verify_now(mirror, checks, given.id, CustomerRef())
    notice = "domain_unproven" if found.proof else "domain_proven"
    return Done(f"{_HOME}/{given.id}/verify", notice)


def _declare(decision: Decision) -> None:
    action = pages.action(f"{decision}_domain", f"{_HOME}/{{id}}/{decision}", scope="admin:operate")

    @action.show
    async def show(visit: Visit, given: Given) -> Page:
        domain = await get_waiting(visit.app[keys.POOL], given.id)
        values = {"domain": domain, "decision": decision, "reason": given.text("reason")}
        return Page("decide_domain.html", values)

    @action.do
    async def do(visit: Visit, given: Given) -> Done:
        pool = visit.app[keys.POOL]
        await decide_proof(pool, visit.actor, given.id, decision, given.reason())
        return Done(_HOME, f"domain_{decision}ed")


for _decision in get_args(Decision):
    _declare(_decision)
