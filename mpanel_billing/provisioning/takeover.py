"""Take over the tenant and the accounts of a subscription that has ended, with their data.

A row of `billing_takeovers` decides it; it is done in one transaction by the run of the new
subscription, once that is alive at Stripe. The services go on to have the accounts under the ids
that they were created for (`tenant_services.account_id`).
"""

import logging

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.mirror import repository as mirror_rows
from mpanel_billing.provisioning.lease import Lease, LeaseLostError
from mpanel_billing.provisioning.repository import operations, takeovers
from mpanel_billing.provisioning.work import Work

logger = logging.getLogger(__name__)

_ALIVE = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
_ENDED = frozenset({"canceled", "incomplete_expired"})


async def take_over(pool: Pool, lease: Lease, work: Work) -> bool:
    """Exchange accounts and tenant with the predecessor; False if there is nothing to take over.

    A run of the predecessor that is under way loses its lease. One that has ended before takes
    nothing over, so that another can.
    """
    if work.predecessor_id is None:
        return False
    if work.entitlement.stripe_status in _ENDED:
        async with acquired(pool) as conn:
            await takeovers.abandon(conn, work.subscription_id, lease.token)
        return False
    if work.entitlement.stripe_status not in _ALIVE:
        return False
    async with transaction(pool) as conn:
        ended = await takeovers.get_stripe_id(conn, work.predecessor_id)
        stripe_ids = [id_ for id_ in (work.stripe_subscription_id, ended) if id_ is not None]
        await mirror_rows.lock_objects(conn, [f"sub:{id_}" for id_ in sorted(stripe_ids)])
        if not await takeovers.exchange(
            conn, work.subscription_id, work.predecessor_id, lease.token, lease.clock()
        ):
            raise LeaseLostError
        derived = await mirror_rows.derive(conn, sorted(stripe_ids), [])
        version = await operations.renew_work(conn, work.predecessor_id)
        renewed = [] if version is None else [(work.predecessor_id, version)]
        await enqueue_provisioning(conn, [*dict([*derived.work, *renewed]).items()])
    logger.info(
        "took over the accounts of an ended subscription",
        extra={
            "subscriptionId": str(work.subscription_id),
            "predecessorId": str(work.predecessor_id),
        },
    )
    return True


async def returns(pool: Pool, work: Work) -> bool:
    """Whether a vouched order is for the domain of the same customer's ended tenant.

    It is then recorded that it takes over. With another customer's domain, or an order that
    nobody vouches for, it gets a tenant of its own.
    """
    domain = work.ordered_domain
    if work.tenant_id is not None or domain is None:
        return False
    async with transaction(pool) as conn:
        found = await takeovers.find_ended_tenant(conn, work.subscription_id, domain=domain)
        if found is None or not (found["vouched"] and may_take_over(found)):
            return False
        return await takeovers.plan_takeover(
            conn, work.subscription_id, found["predecessor_id"], "returned"
        )


def may_take_over(found: takeovers.Candidate) -> bool:
    """Whether a subscription may take over the tenant of another: both of one customer."""
    usable = found["has_ended"] and found["has_accounts"] and not found["is_held"]
    return bool(found["same_customer"] and usable)
