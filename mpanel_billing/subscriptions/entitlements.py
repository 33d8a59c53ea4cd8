"""What a tenant or a customer may have now: the decision that provisioning follows, for mPanel.

mPanel asks this instead of reading rows: which rows matter, and what they mean together, is
decided in one place (`mpanel_billing/provisioning/desired.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import NotFoundError
from mpanel_billing.provisioning.desired import Desired, Phase, Policy, desired_services
from mpanel_billing.provisioning.repository import entitlements
from mpanel_billing.provisioning.repository.entitlements import Held
from mpanel_billing.subscriptions.lookup import CustomerRef, may_reach, require_customer
from mpanel_billing.subscriptions.paging import Span


@dataclass(frozen=True, slots=True)
class Granted:
    """What a subscription entitles to. `until`: when that changes unless something happens.

    It ends, its trial becomes a paid term, its grace is over, the term begins in which its usage
    starts again, or what was kept is terminated; None: nothing of this is ahead.
    """

    held: Held
    desired: Desired
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Entitlements:
    """Answers what is granted, by the rules of the host, in one mode of Stripe."""

    pool: Pool
    policy: Policy
    livemode: bool

    async def of_tenant(self, tenant_id: UUID, named: CustomerRef) -> Granted:
        """Return what a tenant may have.

        NotFoundError (`unknown_tenant`) for one that no subscription at Stripe pays for, or another
        customer's if a customer is named.
        """
        async with acquired(self.pool) as conn:
            held = await entitlements.get_of_tenant(conn, tenant_id, livemode=self.livemode)
            if held is None or not await may_reach(conn, named, held.customer_id):
                raise NotFoundError("Tenant not found.", code="unknown_tenant")
        return decide(held, self.policy)

    async def of_customer(
        self, customer_id: UUID, span: Span, named: CustomerRef | None = None
    ) -> Sequence[Granted]:
        """Return what each of a customer's subscriptions entitles to, newest first.

        NotFoundError for an unknown customer, or another than `named`.
        """
        async with acquired(self.pool) as conn:
            found = await require_customer(conn, CustomerRef(customer_id=customer_id))
            if named and not await may_reach(conn, named, found):
                raise NotFoundError("Customer not found.", code="unknown_customer")
            after = (span.after.at, span.after.id) if span.after else None
            held = await entitlements.list_of_customer(
                conn, customer_id, span.most, after, livemode=self.livemode
            )
        return [decide(one, self.policy) for one in held]


def decide(held: Held, policy: Policy) -> Granted:
    """Return what a subscription entitles to; pure.

    A debt counts once a run has suspended for it, because Stripe is asked first.
    """
    desired = desired_services(held.entitlement, policy, held.now)
    if desired.reason == "unpaid" and held.is_served:
        served = replace(held.entitlement, stripe_status="active")
        desired = desired_services(served, policy, held.now)
    return Granted(held, desired, _until(held, desired))


def _until(held: Held, desired: Desired) -> datetime | None:
    ahead = [desired.wake_at]
    if desired.phase is Phase.ACTIVE:
        ahead += [held.ends_at, held.trial_end]
    elif desired.reason == "used_up":
        ahead.append(held.used_up_until)
    return min((moment for moment in ahead if moment and moment > held.now), default=None)
