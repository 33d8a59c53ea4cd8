"""One leg of the work: the account of a subscription for one product type, and its next step."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from mpanel_billing.provisioning.desired import Wish

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
"""Which services have to stand before another is made, where the subscription has both: mail
runs on the domain of the hosting account, and the extras work on it."""

RESULTING: Mapping[Action, Actual] = {
    "create": "active",
    "suspend": "suspended",
    "resume": "active",
    "change": "active",
    "terminate": "terminated",
}


@dataclass(frozen=True, slots=True)
class Leg:
    """A row of tenant_services.

    `pending` is an order to the driver whose outcome is not known: it may have happened, happen
    later, or never. `generation` is the number of the latest order.
    """

    product_type: str
    desired: Wish
    actual: Actual
    driver: str
    external_ref: str | None = None
    desired_resources: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0
    pending: Action | None = None
    pending_request: Mapping[str, Any] | None = None
    attempts: int = 0
    last_error: str | None = None
    next_attempt_at: datetime | None = None
    stopped: Stopped | None = None
    removed_at: datetime | None = None

    @property
    def settled(self) -> bool:
        """The world is as wished, or an operator does without it."""
        return self.stopped == "skipped" or next_action(self) is None


def next_action(leg: Leg) -> Action | None:
    """Choose the next order for a leg; None when nothing is left to do.

    A creation or termination of unknown outcome is always finished first: only its repetition
    tells whether there is an account. The others may be overtaken by another order, which the
    driver, seeing a newer generation, lets win whatever arrives late.
    """
    if leg.pending in {"create", "terminate"}:
        return leg.pending
    action = _difference(leg)
    return action if action == leg.pending else _difference(assume_pending(leg))


def assume_pending(leg: Leg) -> Leg:
    """Return the leg as if the order of unknown outcome had been carried out."""
    if leg.pending is None:
        return leg
    resources = (leg.pending_request or {}).get("resources", leg.resources)
    return replace(
        leg,
        actual=RESULTING[leg.pending],
        resources=resources if leg.pending in {"create", "change"} else leg.resources,
        pending=None,
        pending_request=None,
    )


def _difference(leg: Leg) -> Action | None:
    exists = leg.actual in {"active", "suspended"}
    match leg.desired:
        case "terminated":
            return "terminate" if exists else None
        case "suspended":
            return "suspend" if leg.actual == "active" else None
        case "active":
            if not exists:
                return "create"
            if leg.actual == "suspended":
                return "resume"
            return "change" if leg.resources != leg.desired_resources else None


def in_order(legs: Mapping[str, Leg]) -> list[Leg]:
    """List the legs so that each comes after those that it needs."""
    return sorted(legs.values(), key=lambda leg: (leg.product_type in NEEDS, leg.product_type))


def blocker(leg: Leg, legs: Mapping[str, Leg]) -> str | None:
    """Return the product type that has to be made before this leg, if one is missing still."""
    if next_action(leg) != "create":
        return None
    for product_type in sorted(NEEDS.get(leg.product_type, ())):
        needed = legs.get(product_type)
        if needed and needed.desired == "active" and needed.actual != "active":
            return None if needed.stopped == "skipped" else product_type
    return None
