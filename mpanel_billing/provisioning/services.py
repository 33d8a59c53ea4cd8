"""What each service is sent: a function per product type, and the details of its commands."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mpanel_billing.provisioning.dispatch import Dispatcher
from mpanel_billing.provisioning.service_state import (
    DOMAIN_DETAILS,
    REGISTRAR_MODES,
    Action,
    Service,
    blocker,
    domains_to_order,
    next_action,
)
from mpanel_billing.provisioning.work import Work

WITHOUT_DOMAIN = frozenset({"storage"})
"""The product types whose accounts have nothing to do with the tenant's domain."""

_MAX_COMMANDS = 5
"""The most that a service can need is three: finish a create, resume, change."""


def is_due(service: Service, work: Work) -> bool:
    """Whether a service may be sent commands now: it is not stopped, and waits for no retry."""
    if service.stopped is not None:
        return False
    return service.next_attempt_at is None or service.next_attempt_at <= work.now


def _hosting(work: Work) -> dict[str, Any]:
    """Return what a hosting account is made with: web space on the tenant's domain.

    The command also says how the buyer gets the domain, and which further domains were paid for:
    the hosting service registers or transfers them. Until they are paid for it is told of none;
    then it gets them with a change.
    """
    return {**_owner(work), "domain": work.tenant_domain}


def _email(work: Work) -> dict[str, Any]:
    """Return what a mail account is made with: mailboxes on the tenant's domain."""
    return {**_owner(work), "mailDomain": work.tenant_domain}


def _owner(work: Work) -> dict[str, Any]:
    """Return what a storage account is made with: it needs no domain."""
    buyer = work.buyer
    contact = {"email": buyer.email, "name": buyer.name, "company": buyer.company}
    return {"tenantId": str(work.tenant_id), "contact": contact}


def _extra(work: Work) -> dict[str, Any]:
    """Return what any other account is made with: an extra on the tenant's domain."""
    return {"tenantId": str(work.tenant_id), "domain": work.tenant_domain}


_BY_TYPE: Mapping[str, Callable[[Work], dict[str, Any]]] = {
    "hosting": _hosting,
    "email": _email,
    "storage": _owner,
}


def describe_account(
    work: Work, service: Service, moved_from: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return what an existing account is made with once more, at another server.

    No domain is ordered with it: what the old one has ordered is there, and the rest is told to the
    new one once it has the account.
    """
    blank = replace(service, desired_domains=service.ordered_domains)
    return {**_details_of("create", blank, work), "movedFrom": moved_from}


def _domains_of_new(service: Service, work: Work) -> Mapping[str, Any]:
    """Return how the buyer gets a new account's domains, as far as they may be ordered now.

    What an account that was terminated has ordered is there already.
    """
    names = domains_to_order(service)
    unproven = work.unproven_domain
    return {
        "domainMode": _own_mode(service, work),
        "furtherDomains": [name for name in names if name != work.tenant_domain],
        **({"unprovenDomain": unproven} if unproven else {}),
    }


def _own_mode(service: Service, work: Work) -> str:
    mode, name = work.tenant_domain_mode, work.tenant_domain
    if mode not in REGISTRAR_MODES:
        return mode
    if name in service.ordered_domains:
        return "existing"
    return mode if name in service.desired_domains else "later"


def _domains_due(service: Service, details: Mapping[str, Any], work: Work) -> Mapping[str, Any]:
    """Return the domains that an account is told of now; empty if there are none.

    Of hosting: those to be ordered too. Of any other: the name that the tenant has got.
    """
    if service.product_type != "hosting":
        named = [each for each in DOMAIN_DETAILS if details.get(each) in domains_to_order(service)]
        return {each: details[each] for each in named}
    names = domains_to_order(service)
    own = {"domain": work.tenant_domain, "domainMode": work.tenant_domain_mode}
    further = [name for name in names if name != work.tenant_domain]
    return {
        **(own if work.tenant_domain in names else {}),
        **({"furtherDomains": further} if further else {}),
    }


async def provision(
    dispatcher: Dispatcher, work: Work, service: Service, services: Mapping[str, Service]
) -> Service:
    """Bring a service to its desired state, as far as possible; returns it as it is then.

    Until it is as desired, a command fails, an operator skips it, or one of the `services` that it
    needs is missing.
    """
    for _ in range(_MAX_COMMANDS):
        action = next_action(service)
        if action is None or blocker(service, services) is not None:
            break
        service = await dispatcher.dispatch(service, action, _details_of(action, service, work))
        if service.last_error is not None or service.stopped is not None:
            break
    return service


def _details_of(action: Action, service: Service, work: Work) -> Mapping[str, Any]:
    details = _BY_TYPE.get(service.product_type, _extra)(work)
    match action:
        case "create":
            domains = _domains_of_new(service, work) if service.product_type == "hosting" else {}
            return {**details, **domains, "resources": service.desired_resources}
        case "change":
            return {"resources": service.desired_resources, **_domains_due(service, details, work)}
        case "suspend":
            return {"reason": work.suspension}
        case _:
            return {}
