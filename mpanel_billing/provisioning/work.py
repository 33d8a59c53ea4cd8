"""The input of a provisioning run: a subscription, its buyer, services and trial charges."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from mpanel_billing.domains.names import is_name
from mpanel_billing.domains.repository.names import NameState
from mpanel_billing.provisioning.desired import Entitlement, Reason
from mpanel_billing.provisioning.service_state import REGISTRAR_MODES, Service

_HELD = frozenset({"held", "proven", "chosen", "registered"})

_GAINED = frozenset({"proven", "chosen"})

SuspensionReason = Reason | Literal["removed"]


@dataclass(frozen=True, slots=True)
class Buyer:
    """The buyer's contact details, as far as known."""

    email: str | None
    name: str | None
    company: str | None


@dataclass(frozen=True, slots=True)
class Charge:
    """A row of subscription_charges: charged or discounted once the trial ends.

    `amount` is in minor units of `currency`; both are None for a discount, whose `code` is a
    coupon. `tried_at`: when Stripe was called to attach it, if the outcome is unknown. `lost`: it
    is for a domain that another customer had.
    """

    id: UUID
    kind: str
    code: str
    description: str
    amount: int | None
    currency: str | None
    state: str
    stripe_id: str | None
    attempt: int
    tried_at: datetime | None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class RivalPage:
    """A payment page of an unpaid order; `session_id` is None while it is being created."""

    subscription_id: UUID
    session_id: str | None


@dataclass(frozen=True, slots=True)
class Work:
    """A subscription with everything that its provisioning depends on, as of `now`.

    `version` increases whenever any of that changes; `attempts` counts the runs since the last
    successful one. `ending`: Stripe will end the subscription without billing it again.
    `adopted_from`: where it was brought back from, `stripe`, `deleted` or `backup`, None if it was
    not; `to_inspect`: its accounts have not been looked for since. `debt_confirmed`: Stripe has
    confirmed, for this version, what is owed. `predecessor_id`: the ended subscription whose
    accounts it is to take over. `suspension`: the reason in suspend commands.
    `vouched_customer_id`: its customer, if mPanel vouches that the order is theirs.
    `domain_states`: what was decided of each of its names. `rival_pages`: payment pages on which
    others can still pay for a name that it has. `at_registrar`: its names that a registrar's driver
    sees to; `paid_alone`: those that were paid for by themselves, in place of lost ones.
    `has_registrar`: there is one, for names of which the hosting service was told nothing.
    """

    subscription_id: UUID
    now: datetime
    version: int
    attempts: int
    livemode: bool
    stripe_subscription_id: str | None
    stripe_customer_id: str | None
    ending: bool
    trial_end: datetime | None
    tenant_id: UUID | None
    tenant_domain: str | None
    domain_mode: str | None
    domain_value: str | None
    ordered_further_domains: tuple[str, ...]
    buyer: Buyer
    hold_reason: str | None
    entitlement: Entitlement
    services: Mapping[str, Service]
    debt_confirmed: bool
    suspension: SuspensionReason
    charges: tuple[Charge, ...]
    adopted_from: str | None = None
    to_inspect: bool = False
    predecessor_id: UUID | None = None
    vouched_customer_id: UUID | None = None
    domain_states: Mapping[str, NameState] = field(default_factory=dict)
    rival_pages: tuple[RivalPage, ...] = ()
    at_registrar: frozenset[str] = frozenset()
    paid_alone: frozenset[str] = frozenset()
    has_registrar: bool = False

    @property
    def mirror_key(self) -> str:
        """The advisory lock under which the mirror derives the subscription's columns."""
        return f"sub:{self.stripe_subscription_id}"

    @property
    def tenant_domain_mode(self) -> str:
        """How the hosting service gets the tenant's domain.

        `later`: it has a name in our zone for now. One that a registrar's driver manages is
        `existing` there.
        """
        name, mode = self.own_domain, self.domain_mode or "later"
        if name is None or name != self.tenant_domain:
            return "later"
        is_seen_to = mode in REGISTRAR_MODES and self._is_the_registrars(name)
        return "existing" if is_seen_to or self._is_kept(name) else mode

    @property
    def hosting_domains(self) -> tuple[str, ...]:
        """The domains that the hosting service has to register or transfer, in ASCII.

        Those that its services have ordered stay among them; what the customer has kept from
        another subscription is at its registry already.
        """
        own = (self.tenant_domain,) if self.tenant_domain_mode in REGISTRAR_MODES else ()
        further = (
            name
            for name in self.further_domains
            if not self._is_kept(name) and not self._is_the_registrars(name)
        )
        return (*(name for name in own if name), *further)

    @property
    def registrar_domains(self) -> tuple[str, ...]:
        """The domains that a registrar's driver has to register or transfer, in ASCII."""
        own = (self.own_domain,) if self.domain_mode in REGISTRAR_MODES else ()
        return tuple(
            name
            for name in (*own, *self.further_domains)
            if name and not self._is_kept(name) and self._is_the_registrars(name)
        )

    @property
    def ordered_domain(self) -> str | None:
        """The domain that was ordered, in ASCII; None if the buyer will choose one later."""
        if self.domain_mode in {None, "later"}:
            return None
        return self.domain_value or None

    @property
    def ordered_names(self) -> tuple[str, ...]:
        """All domains that were ordered, as far as they are names, in ASCII."""
        ordered = (self.ordered_domain, *self.ordered_further_domains)
        return tuple(name for name in ordered if name is not None and is_name(name))

    @property
    def own_domain(self) -> str | None:
        """The domain that was ordered for the tenant, if it can have it."""
        return self.ordered_domain if self._holds(self.ordered_domain) else None

    @property
    def gained_domain(self) -> str | None:
        """The domain of the order that the tenant and its services get after they were made.

        Its buyer has proven that it is theirs, or chosen it in place of one that could not be
        obtained.
        """
        name = self.ordered_domain
        is_gained = name is not None and self.domain_states.get(name) in _GAINED
        return name if is_gained else None

    def paid_for(self, names: Iterable[str], *, is_order_paid: bool) -> tuple[str, ...]:
        """Return those of the names that may be registered: their order is paid, or they are."""
        return tuple(name for name in names if is_order_paid or name in self.paid_alone)

    @property
    def unproven_domain(self) -> str | None:
        """The domain that was ordered, while its buyer has still to prove that it is theirs."""
        name = self.ordered_domain
        is_open = name is not None and self.domain_states.get(name) == "verifying"
        return name if is_open else None

    @property
    def further_domains(self) -> tuple[str, ...]:
        """The other domains that were ordered, as far as the buyer can have them."""
        return tuple(name for name in self.ordered_further_domains if self._holds(name))

    def _holds(self, name: str | None) -> bool:
        return name is not None and self.domain_states.get(name) in _HELD

    def _is_the_registrars(self, name: str) -> bool:
        """Whether a registrar's driver manages it: exactly one does, the first that was told."""
        told = (service.desired_domains for service in self.services.values())
        return name in self.at_registrar or (
            self.has_registrar and all(name not in names for names in told)
        )

    def _is_kept(self, name: str) -> bool:
        """Whether it was registered, and not for this subscription."""
        ordered = (service.ordered_domains for service in self.services.values())
        return self.domain_states.get(name) == "registered" and all(
            name not in names for names in ordered
        )
