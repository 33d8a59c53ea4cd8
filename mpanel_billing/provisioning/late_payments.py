"""Settle payments that were made after the end, without a refund at Stripe and without a revival.

The customer was refunded elsewhere, or it was agreed that the host keeps the money. Until an
operator says so, such a payment keeps the accounts.
"""

from collections.abc import Sequence, Set
from typing import NamedTuple
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import ConflictError
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.mirror import repository as mirror_rows
from mpanel_billing.provisioning.repository import operations, takeovers


class KeptPayment(NamedTuple):
    """What is kept of one invoice; `amount` is in minor units of `currency`."""

    stripe_invoice_id: str
    amount: int
    currency: str


async def list_payments(pool: Pool, subscription_id: UUID) -> Sequence[KeptPayment]:
    """Return the payments that were made after the end and wait for a decision."""
    async with acquired(pool) as conn:
        rows = await operations.list_late_payments(conn, subscription_id)
    return [KeptPayment(*row) for row in rows]


async def keep_payments(
    pool: Pool,
    subscription_id: UUID,
    *,
    reason: str,
    operator: str,
    by: Actor | None = None,
    shown: Set[tuple[str, int]] | None = None,
) -> Sequence[KeptPayment]:
    """Declare the payments that were made after the end as settled; termination goes on.

    ConflictError if none waits for it, or not the invoices with the amounts that were `shown`.
    """
    async with transaction(pool) as conn:
        stripe_id = await takeovers.get_stripe_id(conn, subscription_id)
        await mirror_rows.lock_objects(conn, [f"sub:{stripe_id}"])
        rows = await operations.keep_payments(conn, subscription_id, reason, operator)
        if not rows:
            raise ConflictError("No payment made after the end waits for a decision.")
        kept = [KeptPayment(*row) for row in rows]
        if shown not in (None, {(one.stripe_invoice_id, one.amount) for one in kept}):
            raise ConflictError(
                "Other payments were made after the end than were shown.", code="preview_outdated"
            )
        derived = await mirror_rows.derive(conn, [], [subscription_id])
        await enqueue_provisioning(conn, derived.work)
        details = {
            "reason": reason,
            "operator": operator,
            "payments": [payment._asdict() for payment in kept],
        }
        target = Target("subscription", str(subscription_id))
        await audit.record(conn, by, "subscription.keep_payment", target, details)
    return kept
