"""The desired state of each service of a subscription, as a function of the mirror (rule 8).

Pure: values in, values out; the time is an argument.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from mpanel_billing.provisioning.product_resources import (
    Included,
    Resources,
    is_number,
    resources_by_type,
)

DesiredState = Literal["active", "suspended", "terminated"]


class Phase(StrEnum):
    """What a subscription as a whole is entitled to."""

    WAITING = "waiting"
    """Nothing yet: the first payment is outstanding."""
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """A payment or an operator can reactivate it."""
    ENDED = "ended"
    """It cannot be reactivated; its data is kept for the retention period."""


_IN_DEBT = frozenset({"past_due", "unpaid", "paused"})

Reason = Literal["disputed", "ended", "held", "paused", "unpaid", "used_up"]
"""Why the services of a subscription as a whole are suspended."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of the host.

    `grace`: how long services stay active with a debt. `retention`: how long the account of an
    ended subscription, or of a removed product, stays suspended before it is terminated.
    `suspend_paused_collection`: whether a paused collection suspends; by Stripe's documentation
    the customer keeps access. `void_invoices_at_end`: whether invoices that are still open when
    the accounts are terminated are voided first. `suspend_disputed`: whether a bank that takes
    money back suspends, until it is won or waived.
    """

    grace: timedelta
    retention: timedelta
    suspend_paused_collection: bool = False
    void_invoices_at_end: bool = True
    suspend_disputed: bool = False


@dataclass(frozen=True, slots=True)
class Existing:
    """A service that the subscription already has.

    `provisioned`: its account was created at some time. `removed_at`: since when the
    subscription no longer includes it. `exchanged_at`: since when it has the account of another
    subscription.
    """

    provisioned: bool
    resources: Resources = field(default_factory=dict)
    removed_at: datetime | None = None
    exchanged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Leniency:
    """What was agreed with a customer about suspension: None is the host's rule.

    `grace` replaces the policy's; before `not_before` a debt suspends nothing.
    """

    grace: timedelta | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What entitles a subscription to its services; times are UTC.

    `settled`: its first invoice is paid or was $0. `order_paid`: money was paid for all that was
    ordered with it, and not given back. `paused_by`: Stripe's reason for the status
    `paused`. `owed_since`: since when the oldest unpaid cycle invoice is due; it may lie in the
    future. `term_start`: start of the term that Stripe calls past due or unpaid.
    `contradicted_since`: what `contradicted_since()` returned at the latest run. `held`: an
    operator has suspended it. `disputed`: a bank has taken money of it. `held_for_pause`: its
    term is not collected, as agreed in a pause; False: the term that was paid before still runs,
    None: no such pause. `used_up`: what it has used in its term has reached a limit that suspends.
    `paid_after_end`: the host has kept a payment that
    was made after the end. `items_unplaced`: it has items that belong to no product of the
    catalogue.
    """

    stripe_status: str | None
    settled: bool = False
    order_paid: bool = False
    collection_paused: bool = False
    paused_by: str | None = None
    owed_since: datetime | None = None
    term_start: datetime | None = None
    contradicted_since: datetime | None = None
    ended_at: datetime | None = None
    held: bool = False
    disputed: bool = False
    held_for_pause: bool | None = None
    used_up: bool = False
    paid_after_end: bool = False
    leniency: Leniency = field(default_factory=Leniency)
    items: tuple[Included, ...] = ()
    items_unplaced: bool = False
    existing: Mapping[str, Existing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DesiredService:
    """The desired state of one product type, and the limits that its account should have."""

    state: DesiredState
    resources: Resources = field(default_factory=dict)
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired state of every product type, and when time alone may change it (None: never).

    `reason`: why the phase is not active; None while it is, or while nothing is due yet.
    `orders_domains`: whether domains may be registered or transferred for it.
    """

    phase: Phase
    services: Mapping[str, DesiredService]
    wake_at: datetime | None = None
    reason: Reason | None = None
    orders_domains: bool = False


def desired_services(subscription: Entitlement, policy: Policy, now: datetime) -> Desired:
    """Return the desired state of each service at `now`, and when to look again.

    A product type that no item includes any longer is suspended, and terminated after the
    retention period; while an item cannot be placed in the catalogue, nothing is removed or
    reduced. Nothing is terminated while an operator holds the subscription, or while the host keeps
    a payment that was made after the end. A service that was never provisioned is only desired
    while the subscription is active. Domains are ordered for money only: not for a trial, nor for
    what is free.
    """
    verdict = _verdict(subscription, policy, now)
    if verdict.phase is Phase.WAITING:
        return Desired(verdict.phase, {}, None)
    included = resources_by_type(subscription.items)
    services: dict[str, DesiredService] = {}
    wakes = [verdict.ends_at]
    moment = _Moment(subscription, policy, now, verdict.phase)
    for product_type in sorted(included.keys() | subscription.existing.keys()):
        existing = subscription.existing.get(product_type)
        service, wake = moment.decide(included.get(product_type), existing)
        if service is not None:
            services[product_type] = service
        wakes.append(wake)
    orders_domains = verdict.phase is Phase.ACTIVE and subscription.order_paid
    return Desired(verdict.phase, services, _next(wakes, now), verdict.reason, orders_domains)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The phase, why it is not active, and when time alone ends it."""

    phase: Phase
    reason: Reason | None = None
    ends_at: datetime | None = None


def _verdict(subscription: Entitlement, policy: Policy, now: datetime) -> _Verdict:
    provisioned = any(service.provisioned for service in subscription.existing.values())
    status = subscription.stripe_status
    if status in {None, "incomplete"} or not (subscription.settled or provisioned):
        return _Verdict(Phase.WAITING)
    if status in {"canceled", "incomplete_expired"}:
        return _Verdict(Phase.ENDED, "ended")
    if (reason := _suspension(subscription, policy)) is not None:
        return _Verdict(Phase.SUSPENDED, reason)
    if is_in_debt(subscription):
        return _verdict_on_debt(subscription, policy, now)
    return _Verdict(Phase.ACTIVE)


def _suspension(subscription: Entitlement, policy: Policy) -> Reason | None:
    """Return why it is suspended, whatever was paid; None if it is not."""
    if subscription.held:
        return "held"
    if subscription.disputed and policy.suspend_disputed:
        return "disputed"
    if subscription.used_up:
        return "used_up"
    is_paused = subscription.held_for_pause or _is_paused(subscription, policy)
    return "paused" if is_paused else None


def contradicted_since(subscription: Entitlement) -> datetime | None:
    """Return since when Stripe calls it unpaid although nothing is owed; None: it does not.

    Later terms do not restart it.
    """
    status = subscription.stripe_status
    unpaid = status in {"past_due", "unpaid"} or (
        status == "paused" and _can_still_pay(subscription)
    )
    if not unpaid or subscription.owed_since is not None:
        return None
    return subscription.contradicted_since or subscription.term_start


def _can_still_pay(subscription: Entitlement) -> bool:
    """Whether Stripe has paused it for a first payment that the customer can still make."""
    return subscription.paused_by == "first_payment_failure"


def _is_paused(subscription: Entitlement, policy: Policy) -> bool:
    """Whether a pause suspends: not one for a failed payment that the customer can still make.

    What was agreed in a pause goes before the policy.
    """
    agreed = subscription.held_for_pause is not None
    if subscription.collection_paused and policy.suspend_paused_collection and not agreed:
        return True
    return subscription.stripe_status == "paused" and not _can_still_pay(subscription)


def _verdict_on_debt(subscription: Entitlement, policy: Policy, now: datetime) -> _Verdict:
    """Return the verdict on a subscription that Stripe calls unpaid in some way."""
    ends_at = debt_suspends_at(subscription, policy)
    if ends_at is not None and ends_at > now:
        return _Verdict(Phase.ACTIVE, ends_at=ends_at)
    return _Verdict(Phase.SUSPENDED, "unpaid")


def is_in_debt(subscription: Entitlement) -> bool:
    """Return whether Stripe calls it unpaid in some way, so that a debt may suspend it."""
    return subscription.stripe_status in _IN_DEBT


def debt_suspends_at(subscription: Entitlement, policy: Policy) -> datetime | None:
    """Return from when on a debt suspends it, as things are; None: at once.

    With nothing owed, the grace period runs from the start of the first such term: a contradiction
    that nobody settles does not end in endless free service. Stripe's `unpaid` says that every
    retry has failed: a debt then suspends once it is due, unless other days of grace were agreed.
    """
    given_up = subscription.stripe_status == "unpaid" and subscription.owed_since is not None
    grace = timedelta(0) if given_up else policy.grace
    grace = grace if subscription.leniency.grace is None else subscription.leniency.grace
    since = subscription.owed_since or contradicted_since(subscription)
    ends_at = None if since is None else since + grace
    return max((m for m in (ends_at, subscription.leniency.not_before) if m), default=None)


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
        if existing is not None and self.subscription.items_unplaced:
            included = self._kept(included, existing)
        if included is not None and self.phase is Phase.ACTIVE:
            return DesiredService("active", included), None
        if existing is None:
            return None, None
        removed_at = (existing.removed_at or self.now) if included is None else None
        resources = existing.resources if included is None else included
        kept_until = self._kept_until(removed_at, existing.exchanged_at)
        if kept_until is not None and kept_until <= self.now:
            return DesiredService("terminated", resources, removed_at), None
        return DesiredService("suspended", resources, removed_at), kept_until

    def _kept(self, included: Resources | None, existing: Existing) -> Resources | None:
        """Return what a service gets while an item that may belong to it cannot be placed.

        Nothing it has is taken away. What was removed before stays removed.
        """
        if included is None and existing.removed_at is not None:
            return None
        kept = dict(existing.resources)
        for name, value in (included or {}).items():
            known = kept.get(name)
            if is_number(value) and is_number(known):
                kept[name] = max(value, known)
            else:
                kept.setdefault(name, value)
        return kept

    def _kept_until(
        self, removed_at: datetime | None, exchanged_at: datetime | None
    ) -> datetime | None:
        """Return when the account is to be terminated; None: not by time alone.

        An account that an ended subscription got in exchange is kept from then on.
        """
        if self.subscription.held or self.subscription.paid_after_end:
            return None
        ended = self.phase is Phase.ENDED
        if self.subscription.items_unplaced and not ended:
            return None
        ended_at = self.subscription.ended_at if ended else None
        gone_since = _earliest(removed_at, ended_at)
        if gone_since is None:
            return None
        return max(gone_since, exchanged_at or gone_since) + self.policy.retention


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _next(wakes: Iterable[datetime | None], now: datetime) -> datetime | None:
    return _earliest(*(wake for wake in wakes if wake is not None and wake > now))
