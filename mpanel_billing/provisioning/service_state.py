"""A service of a subscription, and the next command that brings it to its desired state. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.provisioning.desired import DesiredState

Action = Literal["create", "suspend", "resume", "change", "terminate"]
Actual = Literal["absent", "active", "suspended", "terminated"]
Stopped = Literal["refused", "skipped"]

NEEDS: Mapping[str, frozenset[str]] = {
    "email": frozenset({"hosting"}),
    "ssl": frozenset({"hosting"}),
    "backup": frozenset({"hosting"}),
    "cdn": frozenset({"hosting"}),
    "monitoring": frozenset({"hosting"}),
}
"""The services that must be active before another is created, if the subscription has both: mail
runs on the domain of the hosting account, and the extras work on that account."""

RESULTING: Mapping[Action, Actual] = {
    "create": "active",
    "suspend": "suspended",
    "resume": "active",
    "change": "active",
    "terminate": "terminated",
}


@dataclass(frozen=True, slots=True)
class Service:
    """A row of tenant_services: the account of a subscription for one product type.

    `pending` is a driver command whose outcome is unknown: it may have happened, may happen
    later, or never. `desired_domains` are those that it should have registered or transferred,
    and the one that the tenant has got since; `ordered_domains` those that it was told of, and
    has. `server` is the one that has the account, or is to have it; None: there is only one.
    `generation` is the number of the latest command. `suspended_by_service` is why the
    service itself has suspended the account: it is not ours to resume. `account_id`: the
    subscription that the account was created for, None if for this one; `exchanged_at`: since
    when this one has it.
    """

    product_type: str
    desired: DesiredState
    actual: Actual
    driver: str
    external_ref: str | None = None
    desired_resources: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    desired_domains: tuple[str, ...] = ()
    ordered_domains: tuple[str, ...] = ()
    generation: int = 0
    pending: Action | None = None
    pending_request: Mapping[str, Any] | None = None
    attempts: int = 0
    last_error: str | None = None
    next_attempt_at: datetime | None = None
    stopped: Stopped | None = None
    removed_at: datetime | None = None
    suspended_by_service: str | None = None
    account_id: UUID | None = None
    exchanged_at: datetime | None = None
    server: str | None = None

    @property
    def settled(self) -> bool:
        """Whether the account is as desired, or an operator has skipped it."""
        return self.stopped == "skipped" or next_action(self) is None


def tags_of(service: Service) -> tuple[str, ...]:
    """Return the tags that a server has to have for the account: the resource `server_tags`."""
    return tuple(str(service.desired_resources.get("server_tags", "")).split())


def next_action(service: Service) -> Action | None:
    """Return the next command for a service, or None if there is nothing left to do.

    A create or terminate of unknown outcome is always repeated first: only that tells whether
    the account exists. Any other command can be superseded by a newer one; the driver then
    ignores the older generation if it arrives late.
    """
    if service.pending in {"create", "terminate"}:
        return service.pending
    action = _difference(service)
    return action if action == service.pending else _difference(assume_pending(service))


def assume_pending(service: Service) -> Service:
    """Return the service as if its pending command had succeeded.

    Except that a domain counts as ordered only once the service says so: an order that was lost
    is repeated, and one that was not is without effect.
    """
    if service.pending is None:
        return service
    resources = (service.pending_request or {}).get("resources", service.resources)
    return replace(
        service,
        actual=RESULTING[service.pending],
        resources=resources if service.pending in {"create", "change"} else service.resources,
        pending=None,
        pending_request=None,
    )


def supersede_pending(service: Service) -> Service:
    """Return the service as a newer command assumes it, which supersedes the pending one.

    What resources a pending change has left is unknown: none are on record until a change of them
    is confirmed, so that one which was lost is repeated.
    """
    assumed = assume_pending(service)
    return replace(assumed, resources={}) if service.pending == "change" else assumed


def _difference(service: Service) -> Action | None:
    exists = service.actual in {"active", "suspended"}
    match service.desired:
        case "terminated":
            return "terminate" if exists else None
        case "suspended":
            return "suspend" if service.actual == "active" else None
        case "active":
            if not exists:
                return "create"
            if service.actual == "suspended":
                return "resume" if service.suspended_by_service is None else None
            return "change" if _is_different(service) else None


def _is_different(service: Service) -> bool:
    return service.resources != service.desired_resources or bool(domains_to_order(service))


def domains_to_order(service: Service) -> tuple[str, ...]:
    """Return the domains that are still to be ordered; what has been ordered stays so."""
    return tuple(name for name in service.desired_domains if name not in service.ordered_domains)


REGISTRAR_MODES = frozenset({"register", "transfer", "new-or-transfer"})
"""The domain modes with which something is ordered at a registrar."""


DOMAIN_DETAILS = ("domain", "mailDomain")
"""The details of a command in which an account is told the tenant's domain."""


def domains_in(details: Mapping[str, Any]) -> Sequence[str]:
    """Return the domains that a command's details order at a registrar."""
    own = [details["domain"]] if details.get("domainMode") in REGISTRAR_MODES else []
    return [*own, *details.get("furtherDomains", ())]


def in_order(services: Mapping[str, Service]) -> list[Service]:
    """Sort the services so that each comes after those it needs."""
    return sorted(
        services.values(), key=lambda each: (each.product_type in NEEDS, each.product_type)
    )


def blocker(service: Service, services: Mapping[str, Service]) -> str | None:
    """Return the product type that must be created before this service, if it is missing."""
    if next_action(service) != "create":
        return None
    for product_type in sorted(NEEDS.get(service.product_type, ())):
        needed = services.get(product_type)
        if needed and needed.desired == "active" and not _is_there(needed):
            return None if needed.stopped == "skipped" else product_type
    return None


def _is_there(service: Service) -> bool:
    """Whether the account is active for certain: one that may have been terminated is not."""
    return service.actual == "active" and service.pending != "terminate"
