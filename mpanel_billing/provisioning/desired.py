"""The desired state of each service of a subscription, as a function of the mirror (rule 8).

Pure: values in, values out; the time is an argument.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

DesiredState = Literal["active", "suspended", "terminated"]
Resources = Mapping[str, Any]


class Phase(StrEnum):
    """What a subscription as a whole is entitled to."""

    WAITING = "waiting"
    """Nothing yet: the first payment is outstanding."""
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """A payment or an operator can reactivate it."""
    ENDED = "ended"
    """It cannot be reactivated; its data is kept for the retention period."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The time limits.

    `grace`: how long services stay active with an unpaid invoice. `retention`: how long the
    account of an ended subscription, or of a removed product, stays suspended before it is
    terminated.
    """

    grace: timedelta
    retention: timedelta


@dataclass(frozen=True, slots=True)
class Included:
    """A catalogue product among the subscription's items."""

    product_types: tuple[str, ...]
    resources: Resources = field(default_factory=dict)
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Existing:
    """A service that the subscription already has.

    `provisioned`: its account was created at some time. `removed_at`: since when the
    subscription no longer includes it.
    """

    provisioned: bool
    resources: Resources = field(default_factory=dict)
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What entitles a subscription to its services; times are UTC.

    `settled`: its first invoice is paid or was $0. `unpaid_since`: when its oldest unpaid
    invoice was created. `held`: an operator has suspended it.
    """

    stripe_status: str | None
    settled: bool = False
    collection_paused: bool = False
    unpaid_since: datetime | None = None
    ended_at: datetime | None = None
    held: bool = False
    items: tuple[Included, ...] = ()
    existing: Mapping[str, Existing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DesiredService:
    """The desired state of one product type, and the limits that its account should have."""

    state: DesiredState
    resources: Resources = field(default_factory=dict)
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired state of every product type, and when time alone may change it (None: never)."""

    phase: Phase
    services: Mapping[str, DesiredService]
    wake_at: datetime | None = None


def desired_services(subscription: Entitlement, policy: Policy, now: datetime) -> Desired:
    """Return the desired state of each service at `now`, and when to look again.

    A product type that no item includes any longer is suspended, and terminated after the
    retention period. Nothing is terminated while an operator holds the subscription. A service
    that was never provisioned is only desired while the subscription is active.
    """
    phase, phase_ends = _phase(subscription, policy, now)
    if phase is Phase.WAITING:
        return Desired(phase, {}, None)
    included = resources_by_type(subscription.items)
    services: dict[str, DesiredService] = {}
    wakes = [phase_ends]
    moment = _Moment(subscription, policy, now, phase)
    for product_type in sorted(included.keys() | subscription.existing.keys()):
        existing = subscription.existing.get(product_type)
        service, wake = moment.decide(included.get(product_type), existing)
        if service is not None:
            services[product_type] = service
        wakes.append(wake)
    return Desired(phase, services, _next(wakes, now))


def resources_by_type(items: Iterable[Included]) -> dict[str, Resources]:
    """Add up the items' resources by product type: numbers times quantity; else the first wins."""
    totals: dict[str, dict[str, Any]] = {}
    for item in items:
        for product_type in item.product_types if item.quantity > 0 else ():
            total = totals.setdefault(product_type, {})
            for name, value in item.resources.items():
                if _is_number(value):
                    total[name] = total.get(name, 0) + value * item.quantity
                else:
                    total.setdefault(name, value)
    return dict(totals)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _phase(
    subscription: Entitlement, policy: Policy, now: datetime
) -> tuple[Phase, datetime | None]:
    """Return the phase, and when time alone ends it."""
    provisioned = any(service.provisioned for service in subscription.existing.values())
    status = subscription.stripe_status
    if status in {None, "incomplete"} or not (subscription.settled or provisioned):
        return Phase.WAITING, None
    if status in {"canceled", "incomplete_expired"}:
        return Phase.ENDED, None
    if subscription.held or subscription.collection_paused or status in {"unpaid", "paused"}:
        return Phase.SUSPENDED, None
    if status == "past_due" and subscription.unpaid_since is not None:
        grace_ends = subscription.unpaid_since + policy.grace
        if grace_ends <= now:
            return Phase.SUSPENDED, None
        return Phase.ACTIVE, grace_ends
    return Phase.ACTIVE, None


@dataclass(frozen=True, slots=True)
class _Moment:
    """A subscription in its phase at a given time."""

    subscription: Entitlement
    policy: Policy
    now: datetime
    phase: Phase

    def decide(
        self, included: Resources | None, existing: Existing | None
    ) -> tuple[DesiredService | None, datetime | None]:
        """Return the desired state of one product type, and when time alone changes it."""
        if included is not None and self.phase is Phase.ACTIVE:
            return DesiredService("active", included), None
        if existing is None:
            return None, None
        removed_at = (existing.removed_at or self.now) if included is None else None
        resources = existing.resources if included is None else included
        kept_until = self._kept_until(removed_at)
        if kept_until is not None and kept_until <= self.now:
            return DesiredService("terminated", resources, removed_at), None
        return DesiredService("suspended", resources, removed_at), kept_until

    def _kept_until(self, removed_at: datetime | None) -> datetime | None:
        """Return when the account is to be terminated; None: not by time alone."""
        if self.subscription.held:
            return None
        ended_at = self.subscription.ended_at if self.phase is Phase.ENDED else None
        gone_since = _earliest(removed_at, ended_at)
        return None if gone_since is None else gone_since + self.policy.retention


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _next(wakes: Iterable[datetime | None], now: datetime) -> datetime | None:
    return _earliest(*(wake for wake in wakes if wake is not None and wake > now))
