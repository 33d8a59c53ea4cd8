"""Bill an ended customer again, for the same tenant and accounts.

Stripe cannot restart a subscription that has ended: there is a new one, which takes over
(`provisioning.takeover`). What was paid for is not billed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.reading import ORDER_METADATA_KEY
from mpanel_billing.stripe_gateway.subscriptions import create_subscription, find_subscription
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.lifecycle import Changed, ChangeRequest
from mpanel_billing.subscriptions.lookup import get_subscription, require_subscription
from mpanel_billing.subscriptions.promise import hash_facts, preview_outdated
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.requested_changes import StripeRequest
from mpanel_billing.subscriptions.revival_params import revival_params
from mpanel_billing.subscriptions.stripe_requests import carry_out

_SUCCESSORS = UUID("5f7b3c0e-6a5d-4d54-9a39-0c6d2f4f8e11")


@dataclass(frozen=True, slots=True)
class RevivalPreview:
    """What a revival bills: from `paid_until` on; None: all of a term at once.

    `coupons` are those of the discounts that go on. `successor_id` has been made before, and
    nothing is billed again.
    """

    paid_until: datetime | None
    coupons: Sequence[str] = ()
    successor_id: UUID | None = None

    @property
    def promise(self) -> str:
        """What a revival has to be like to be what this shows."""
        return hash_facts({"paid_until": self.paid_until, "coupons": self.coupons})


async def preview_revival(
    mirror: Mirror, request: ChangeRequest, *, without_discounts: bool = False
) -> RevivalPreview:
    """Return what `revive` would bill now; raises what it would."""
    ended = await get_subscription(mirror, request.subscription_id, request.named)
    at_stripe = await mirror.refresh("subscription", ended.stripe_id) if ended.stripe_id else {}
    if not ended.is_over:
        raise _not_ended()
    async with acquired(mirror.pool) as conn:
        successor_id, revival = await _find_successor(conn, ended.id)
    paid_until = revival["paid_until"]
    if revival["successor_stripe_id"] is not None:
        return RevivalPreview(paid_until, successor_id=successor_id)
    _refuse_without_accounts(revival)
    params = _params_now(at_stripe, successor_id, paid_until, without_discounts=without_discounts)
    return RevivalPreview(paid_until, _coupons(params))


def _params_now(
    at_stripe: Mapping[str, Any],
    successor_id: UUID,
    paid_until: datetime | None,
    *,
    without_discounts: bool,
) -> Mapping[str, Any]:
    return revival_params(
        at_stripe,
        successor_id,
        paid_until=paid_until,
        now=datetime.now(UTC),
        without_discounts=without_discounts,
    )


def _coupons(params: Mapping[str, Any]) -> tuple[str, ...]:
    given = [one for owner in (params, *params["items"]) for one in owner.get("discounts", ())]
    return tuple(dict.fromkeys(one["coupon"] for one in given))


async def revive(
    mirror: Mirror,
    request: ChangeRequest,
    *,
    without_discounts: bool = False,
    promise: str | None = None,
) -> Changed:
    """Create a subscription at Stripe that takes over the accounts of one that has ended.

    It has the same items, discounts and taxes, no trial, and is billed from the end of the time
    that was paid for; at once if that is over, and then nothing is created if the payment fails
    (PaymentFailedError). Repeated, it has no further effect: returns the successor, unless that
    has ended before it took over. ConflictError, also if it would not be as the `promise` of a
    preview says; NotFoundError, StripeError.
    """
    ended = await get_subscription(mirror, request.subscription_id, request.named)
    at_stripe = await mirror.refresh("subscription", ended.stripe_id) if ended.stripe_id else {}
    successors = [_successor_of(ended.id)]

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_subscription(conn, mirror, ended.id, request.named)
        if not held.is_over:
            raise _not_ended()
        successor_id, revival = await _find_successor(conn, ended.id)
        successors.append(successor_id)
        if revival["successor_stripe_id"] is not None:
            return None
        await _plan(conn, ended.id, successor_id, revival)
        until = revival["paid_until"]
        params = _params_now(at_stripe, successor_id, until, without_discounts=without_discounts)
        if promise not in {None, RevivalPreview(until, _coupons(params)).promise}:
            raise preview_outdated()
        return params

    asked = {"withoutDiscounts": True} if without_discounts else {}
    wanted = StripeRequest("revive", ended.id, asked, request.key)
    change = await carry_out(mirror, request.by, wanted, decide, partial(_create, mirror))
    revived = successors[-1] if change is None else _successor_in(change)
    after = await get_subscription(mirror, revived, request.named)
    return Changed(after, changed=change is not None)


async def _plan(
    conn: Connection, ended_id: UUID, successor_id: UUID, revival: asyncpg.Record
) -> None:
    """Note who takes the accounts over; ConflictError if there are none, or another one does."""
    _refuse_without_accounts(revival)
    if not await repository.subscriptions.plan_revival(conn, ended_id, successor_id):
        raise _taken_over("Another subscription")


async def _create(mirror: Mirror, change: Change) -> str:
    """Create the successor, unless an earlier attempt has, and return its id at Stripe."""
    stripe_id = await _made_before(mirror, change)
    if stripe_id is None:
        stripe_id = await create_subscription(mirror.stripe, change.params, change.idempotency_key)
    await mirror.refresh("subscription", stripe_id)
    return stripe_id


def _successor_of(id_: UUID) -> UUID:
    return uuid5(_SUCCESSORS, str(id_))


async def _find_successor(conn: Connection, ended_id: UUID) -> tuple[UUID, asyncpg.Record]:
    """Return the latest successor, and what its revival depends on.

    One that has ended before it took anything over makes place for another. ConflictError if
    another subscription has the accounts.
    """
    successor_id = _successor_of(ended_id)
    while True:
        revival = await repository.subscriptions.get_revival(conn, ended_id, successor_id)
        if not revival["successor_has_ended"] or revival["taken_over_by"] == successor_id:
            _refuse(revival, successor_id)
            return successor_id, revival
        successor_id = _successor_of(successor_id)


def _successor_in(change: Change) -> UUID:
    return UUID(change.params["metadata"][ORDER_METADATA_KEY])


def _refuse(revival: asyncpg.Record, successor_id: UUID) -> None:
    if revival["taken_over_by"] not in {None, successor_id}:
        raise _taken_over(f"The subscription {revival['taken_over_by']}")


def _refuse_without_accounts(revival: asyncpg.Record) -> None:
    if revival["is_held"]:
        raise ConflictError(
            "An operator has suspended this subscription. Lift that first.", code="held"
        )
    if not revival["has_accounts"]:
        raise ConflictError(
            "The accounts of this subscription have been terminated. It can only be ordered again.",
            code="accounts_terminated",
        )


def _not_ended() -> ConflictError:
    return ConflictError("This subscription has not ended.", code="not_ended")


def _taken_over(by: str) -> ConflictError:
    return ConflictError(f"{by} has taken over its accounts.", code="taken_over")


async def _made_before(mirror: Mirror, change: Change) -> str | None:
    """Return the subscription that an earlier request has created, if it has.

    Also looked for at the first attempt: a request whose outcome is unknown may have had another
    idempotency key, or be older than Stripe remembers.
    """
    params = change.params
    successor_id = params["metadata"][ORDER_METADATA_KEY]
    return await find_subscription(
        mirror.stripe, params["customer"], ORDER_METADATA_KEY, successor_id
    )
