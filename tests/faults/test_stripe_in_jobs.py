"""Stripe fails while jobs refetch objects whose events never came."""

import time
from collections.abc import Sequence
from typing import Any

from mpanel_billing.database.pool import transaction
from mpanel_billing.jobs.queue import enqueue_refetches
from mpanel_billing.mirror import repository
from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment
from tests.faults.reliability_document import ReliabilityDocument

FAULTS: Sequence[dict[str, Any]] = (
    {"kind": "hang", "seconds": 5},
    {"kind": "status", "status": 429, "retry_after": 2},
    {"kind": "status", "status": 500, "times": 3},
    {"kind": "reset", "times": 3},
)
"""The SDK itself tries three times, except after a 429."""


async def test_stripe_fails_when_jobs_ask_it(
    deployment: Deployment, document: ReliabilityDocument
) -> None:
    await deployment.start_web()
    await deployment.start_worker()
    for _ in FAULTS:
        await deployment.wait_until_active(await deployment.buy())
    await deployment.stripe.wait_idle()
    ids = await _change_without_events(deployment)
    for subscription_id, fault in zip(ids, FAULTS, strict=True):
        await deployment.stripe.inject_fault(path=f"/v1/subscriptions/{subscription_id}", **fault)
    asked = time.monotonic()
    await _request_refetches(deployment, ids)
    await deployment.wait_for_row(
        "SELECT 1 "
        "WHERE NOT EXISTS (SELECT 1 FROM stripe_refetches WHERE object_id = ANY($1::text[]))",
        ids,
    )
    took = time.monotonic() - asked
    await check_converged(deployment)
    document.record(
        "Stripe in jobs, at once: slow (5 s), 429, 500 three times, reset three times",
        None,
        recovered="the jobs retry, not before Retry-After: all four rows are up to date after "
        f"{took:.0f} s",
    )


async def _change_without_events(deployment: Deployment) -> list[str]:
    """Set each subscription to end with its period, and lose the events about it."""
    await deployment.stripe.set_delivery(drop=["customer.subscription.updated"])
    subscriptions = deployment.stripe_client.v1.subscriptions
    ids = [one.id for one in (await subscriptions.list_async({})).data]
    for subscription_id in ids:
        await subscriptions.update_async(subscription_id, {"cancel_at_period_end": True})
    await deployment.stripe.set_delivery()
    return ids


async def _request_refetches(deployment: Deployment, ids: Sequence[str]) -> None:
    """Request refetches, as the mirror does when events alone do not determine the state."""
    requests = [{"object_id": id_, "object_type": "subscription", "reason": "test"} for id_ in ids]
    async with transaction(deployment.pool) as conn:
        await enqueue_refetches(conn, await repository.request_refetches(conn, requests))
