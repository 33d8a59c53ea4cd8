"""What a run knows of the subscription that it works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mpanel_billing.provisioning.desired import Entitlement
from mpanel_billing.provisioning.service_state import Leg


@dataclass(frozen=True, slots=True)
class Buyer:
    """Whose subscription it is, as far as we know."""

    email: str | None
    name: str | None
    company: str | None


@dataclass(frozen=True, slots=True)
class Charge:
    """A row of subscription_charges that waits for the trial's subscription, or has been with it.

    `amount` is minor units of `currency`; both are None for a discount, whose `code` is a
    coupon. `tried_at`: Stripe was asked to attach it, and its answer is not known.
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


@dataclass(frozen=True, slots=True)
class Work:
    """A subscription, with everything that provisioning it depends on, as of `now`.

    `version` is that of the wish, `attempts` counts the runs since the last that ended well;
    `ending` says that Stripe will end the subscription before it bills it again.
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
    further_domains: tuple[str, ...]
    buyer: Buyer
    hold_reason: str | None
    entitlement: Entitlement
    legs: Mapping[str, Leg]
    charges: tuple[Charge, ...]

    @property
    def mirror_key(self) -> str:
        """The lock under which the mirror derives the columns of the subscription."""
        return f"sub:{self.stripe_subscription_id}"

    @property
    def tenant_domain_mode(self) -> str:
        """How the buyer comes by the tenant's domain; `later`: it is a name of ours for now."""
        is_own = self.own_domain is not None and self.own_domain == self.tenant_domain
        return self.domain_mode or "later" if is_own else "later"

    @property
    def own_domain(self) -> str | None:
        """The domain that was ordered with it, in ASCII; None if the buyer decides later."""
        if self.domain_mode in {None, "later"}:
            return None
        return self.domain_value or None
