"""Subscriptions whose rows were deleted here while Stripe still knows them: an operator decides.

mPanel deletes a tenant or a customer, and their subscriptions go with them. What is needed to bring
one back is kept by a trigger. Until it is settled, events of the subscription have no effect: a
new row would get a second account.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal, NamedTuple
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pages import FIRST_ID, PAGE, read_pages
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import ConflictError, NotFoundError, StripeObjectMissingError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.log import LogDriver
from mpanel_billing.provisioning.drivers.registry import ConcurrencyLimit, Drivers, LimitedDriver
from mpanel_billing.reconciliation import repository
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.objects import compare_money
from mpanel_billing.stripe_gateway.billed import get_payment_state, list_billed
from mpanel_billing.stripe_gateway.subscriptions import cancel_subscription
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.refunds import RequestedRefund, refund_invoice

SettledHow = Literal["restored", "cancelled"]

_CALLS = 10
"""A decision is claimed for the time that this many calls may take; it makes about half of them."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A subscription whose row was deleted; without a Stripe id it was never paid."""

    subscription_id: UUID
    stripe_subscription_id: str | None
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of it; `refunded` is in minor units, None if nothing was refunded."""

    subscription_id: UUID
    refunded: int | None = None


class Refundable(NamedTuple):
    """What of a payment has not gone back, in minor units of `currency`."""

    amount: int
    currency: str


async def list_deleted(
    pool: Pool, after: UUID | None = None, most: int = PAGE
) -> Sequence[asyncpg.Record]:
    """Return the deleted subscriptions that wait for a decision.

    By id, the first `most` of those after the last one of the page before.
    """
    async with acquired(pool) as conn:
        return await repository.list_deleted(conn, after or FIRST_ID, most)


async def list_all_deleted(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return all that wait for a decision, read page by page."""
    return await read_pages(partial(list_deleted, pool))


async def get_waiting(pool: Pool, name: str) -> asyncpg.Record:
    """Return what is left of a deleted subscription, given our id or Stripe's; NotFoundError."""
    async with acquired(pool) as conn:
        row = await repository.describe_deleted(conn, name)
    if row is None:
        raise NotFoundError(f"No deleted subscription {name} found.")
    return row


async def find_refundable(mirror: Mirror, stripe_subscription_id: str) -> Refundable | None:
    """Ask Stripe what a cancellation with a refund would give back; StripeError.

    Our rows of the invoices went with that of the subscription.
    """
    billed = await list_billed(mirror.stripe, stripe_subscription_id)
    paid = next((one for one in billed if one.status == "paid" and one.amount_paid), None)
    if paid is None:
        return None
    states = [await get_payment_state(mirror.stripe, one) for one in paid.payment_intents]
    left = paid.amount_paid - sum(state.refunded for state in states)
    return Refundable(left, paid.currency) if left > 0 else None


async def restore(mirror: Mirror, name: str, by: Actor) -> Settled:
    """Bring the row back under its own id, and provision it again.

    An account that is still there is found and kept. NotFoundError, ConflictError if it was
    cancelled instead or another operator is deciding, StripeError. Repeating it is safe.
    """
    async with (
        _claimed(mirror, name, "restored") as deleted,
        audit.attempt(mirror.pool, by, "subscription.restore", _target(deleted)),
    ):
        await _restore(mirror, deleted, "restored")
    return Settled(deleted.subscription_id)


async def cancel(mirror: Mirror, name: str, by: Actor, *, refund: bool) -> Settled:
    """Cancel it at Stripe now; with `refund`, refund its latest paid invoice in full.

    The row comes back as a cancelled subscription: its accounts are suspended, and terminated after
    the retention period. Raises as `restore` does; repeating it is safe.
    """
    async with (
        _claimed(mirror, name, "cancelled") as deleted,
        audit.attempt(
            mirror.pool, by, "subscription.cancel_deleted", _target(deleted), {"refund": refund}
        ) as entry,
    ):
        if deleted.stripe_subscription_id is not None:
            await _cancel_at_stripe(mirror, deleted.stripe_subscription_id)
        await _restore(mirror, deleted, "cancelled")
        refunded = await _refund(mirror, deleted, by) if refund else None
        entry.note(refunded=refunded)
    return Settled(deleted.subscription_id, refunded)


@asynccontextmanager
async def _claimed(mirror: Mirror, name: str, how: SettledHow) -> AsyncIterator[Deleted]:
    """Have the row to decide about alone: Stripe is called before the decision is stored."""
    deleted = await _find(mirror.pool, name, how)
    seconds = _CALLS * mirror.stripe.longest_call_seconds
    async with acquired(mirror.pool) as conn:
        claim = await repository.claim_deleted(conn, deleted.subscription_id, how, seconds)
    if claim is None:
        await _find(mirror.pool, name, how)
        raise ConflictError("Another operator is deciding about this subscription right now.")
    try:
        yield deleted
    finally:
        async with acquired(mirror.pool) as conn:
            await repository.release_deleted(conn, deleted.subscription_id, claim)


async def _find(pool: Pool, name: str, how: SettledHow) -> Deleted:
    """Return a deleted subscription that is not settled, or was settled the same way before."""
    async with acquired(pool) as conn:
        row = await repository.find_deleted(conn, name)
    if row is None:
        raise NotFoundError(f"No deleted subscription {name} found.")
    if row["settled_how"] not in {None, how}:
        raise ConflictError(f"This subscription has been {row['settled_how']} already.")
    return Deleted(row["subscription_id"], row["stripe_subscription_id"], row["deleted_at"])


def _target(deleted: Deleted) -> Target:
    return Target("subscription", str(deleted.subscription_id))


async def _cancel_at_stripe(mirror: Mirror, stripe_subscription_id: str) -> None:
    try:
        await cancel_subscription(mirror.stripe, stripe_subscription_id, {})
    except StripeObjectMissingError:
        return  # it has ended already


async def _restore(mirror: Mirror, deleted: Deleted, how: SettledHow) -> None:
    """Insert the row, then take from Stripe what has happened since.

    The worker looks for the accounts before it creates any.
    """
    async with transaction(mirror.pool) as conn:
        await repository.restore_deleted(conn, deleted.subscription_id, how)
    if deleted.stripe_subscription_id is not None:
        no_drivers = Drivers(LimitedDriver(LogDriver(), ConcurrencyLimit(1)))
        await compare_money(ReconcileContext(mirror, no_drivers), deleted.stripe_subscription_id)


async def _refund(mirror: Mirror, deleted: Deleted, by: Actor) -> int | None:
    """Refund the latest paid invoice; None if nothing was paid."""
    if deleted.stripe_subscription_id is None:
        return None
    async with acquired(mirror.pool) as conn:
        invoice = await repository.get_latest_paid_invoice(conn, deleted.stripe_subscription_id)
    if invoice is None:
        return None
    request = RequestedRefund(
        by,
        invoice["id"],
        CustomerRef(),
        reason="requested_by_customer",
        key=f"deleted:{deleted.subscription_id}:{deleted.deleted_at.timestamp()}",
    )
    return (await refund_invoice(mirror, request)).refund.amount
