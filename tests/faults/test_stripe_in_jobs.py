"""Stripe misbehaves while jobs ask it about objects whose events never came."""

import time
from collections.abc import Sequence
from typing import Any

from mpanel_billing.database.pool import transaction
from mpanel_billing.jobs.queue import enqueue_refetches
from mpanel_billing.mirror import repository
from tests.faults.convergence import check_converged
from tests.faults.ledger import Ledger
from tests.faults.town import Town

FAULTS: Sequence[dict[str, Any]] = (
    {"kind": "hang", "seconds": 5},
    {"kind": "status", "status": 429, "retry_after": 2},
    {"kind": "status", "status": 500, "times": 3},
    {"kind": "reset", "times": 3},
)
"""The SDK tries three times by itself, except after a 429."""


async def test_stripe_fails_when_jobs_ask_it(town: Town, ledger: Ledger) -> None:
    await town.start_web()
    await town.start_worker()
    for _ in FAULTS:
        await town.follow(await town.buy())
    await town.stripe.wait_idle()
    ids = await _change_behind_our_back(town)
    for subscription_id, fault in zip(ids, FAULTS, strict=True):
        await town.stripe.inject_fault(path=f"/v1/subscriptions/{subscription_id}", **fault)
    asked = time.monotonic()
    await _ask_about(town, ids)
    await town.wait_for_row(
        "SELECT 1 "
        "WHERE NOT EXISTS (SELECT 1 FROM stripe_refetches WHERE object_id = ANY($1::text[]))",
        ids,
    )
    took = time.monotonic() - asked
    await check_converged(town)
    ledger.enter(
        "Stripe in jobs, at once: slow (5 s), 429, 500 three times, reset three times",
        None,
        recovered="the jobs retry, not before Retry-After: all four rows are up to date after "
        f"{took:.0f} s",
    )


async def _change_behind_our_back(town: Town) -> list[str]:
    """Have each subscription end with its period, and lose the events that say so."""
    await town.stripe.set_delivery(drop=["customer.subscription.updated"])
    subscriptions = town.stripe_client.v1.subscriptions
    ids = [one.id for one in (await subscriptions.list_async({})).data]
    for subscription_id in ids:
        await subscriptions.update_async(subscription_id, {"cancel_at_period_end": True})
    await town.stripe.set_delivery()
    return ids


async def _ask_about(town: Town, ids: Sequence[str]) -> None:
    """Wish for their latest state, as the mirror does where events do not decide."""
    wishes = [{"object_id": id_, "object_type": "subscription", "reason": "test"} for id_ in ids]
    async with transaction(town.pool) as conn:
        await enqueue_refetches(conn, await repository.request_refetches(conn, wishes))
