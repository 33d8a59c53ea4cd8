"""Give Stripe the prices that were announced, shortly before the renewals from which they count.

Until then the customer's items stay as they are: what they change, cancel or plan in the meantime
rests on the price that they pay. Why: docs/decisions/0041-prices-for-those-who-have-them.md.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, ConflictError, DatabaseUnavailableError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.subscriptions import update_subscription
from mpanel_billing.subscriptions.lifecycle import ChangeRequest, make_change, require_changeable
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.repository import price_changes as repository
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.repository.price_changes import ComingPrice
from mpanel_billing.subscriptions.schedules import releasing

logger = logging.getLogger(__name__)

LEAD_DAYS = 3
"""So long before a renewal Stripe gets its price: a worker may be down in between."""

MOST = 100
"""The limit of a run; the rest waits a minute."""

EARLY = "early_prices"
"""Among the params of a change: the former prices that Stripe gets again before it."""

_AFTER_REFUSAL = timedelta(hours=1)
_WHILE_HELD_UP = timedelta(days=1)
_SHORTLY_BEFORE = timedelta(minutes=10)
"""Held up, and the renewal is near: a customer who resumes on the last day gets the new price."""


async def make_price_changes(mirror: Mirror, at: datetime | None = None) -> int:
    """Make the price changes whose renewal is near at a time (None: now), and return how many."""
    now = at or datetime.now(UTC)
    async with acquired(mirror.pool) as conn:
        due = await repository.list_due(conn, now, MOST, livemode=mirror.livemode)
    made = 0
    for id_, subscription_id in due:
        try:
            made += await _look_at(mirror, id_, subscription_id, now)
        except DatabaseUnavailableError:
            raise
        except BillingError as error:
            fields = {"subscriptionId": str(subscription_id)}
            logger.warning("price not changed yet: %s", error, extra=fields)
            async with acquired(mirror.pool) as conn:
                await repository.put_off(conn, id_, None, now + _AFTER_REFUSAL)
    return made


async def _look_at(mirror: Mirror, id_: UUID, subscription_id: UUID, now: datetime) -> bool:
    """Make the change if it is due, else say when it is looked at next."""
    async with acquired(mirror.pool) as conn:
        coming = await repository.get_change(conn, id_, now, LEAD_DAYS)
        if coming is None:
            return False
        if coming.verdict == "gone":
            await repository.settle(conn, id_)
            return False
        if coming.verdict != "due":
            await repository.put_off(conn, id_, coming.effective_at, _next_look(coming, now))
            return False
    return await _make(mirror, id_, subscription_id, now)


def _next_look(coming: ComingPrice, now: datetime) -> datetime:
    if coming.effective_at is None:
        return now + _WHILE_HELD_UP
    near = coming.effective_at - timedelta(days=LEAD_DAYS)
    if coming.verdict == "held up":
        return now + (_SHORTLY_BEFORE if near <= now else _WHILE_HELD_UP)
    return max(near, now + timedelta(minutes=1))


async def _make(mirror: Mirror, id_: UUID, subscription_id: UUID, now: datetime) -> bool:
    request = ChangeRequest(
        Actor("worker"), subscription_id, CustomerRef(), key=f"price-change-{id_}"
    )

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, mirror, request)
        coming = await repository.get_change(conn, id_, now, LEAD_DAYS)
        if coming is None or coming.verdict == "gone":
            return None
        if coming.verdict != "due":  # since it was looked at; not done, as None would say
            raise ConflictError(f"the price change is {coming.verdict}", code="price_change_waits")
        return {
            "items": [_item(coming)],
            "proration_behavior": "none",
            **releasing(held),
        }

    done = await make_change(mirror, request, "change_price", {"change": str(id_)}, decide)
    if done.changed:
        async with acquired(mirror.pool) as conn:
            await repository.note_made(conn, id_)
    return done.changed


async def early_prices(conn: Connection, held: Subscription) -> Mapping[str, Any]:
    """Return the params for `take_back`: the prices that a term which began now would not have.

    A pause ends with a new term, which may begin before the renewal that the customer was told.
    """
    early = await repository.list_early(conn, held.id)
    if not early:
        return {}
    items = [_items_param(one.item, one.former_price, one.quantity) for one in early]
    ids = [str(one.change_id) for one in early]
    return {EARLY: {"subscription": held.stripe_id, "items": items, "changes": ids}}


async def take_back(mirror: Mirror, change: Change) -> None:
    """Give Stripe the former prices again, before a change that names them; can be repeated."""
    early = change.params.get(EARLY)
    if early is None:
        return
    params = {"items": early["items"], "proration_behavior": "none"}
    key = f"{change.idempotency_key}-prices"
    await update_subscription(mirror.stripe, early["subscription"], params, key)
    async with acquired(mirror.pool) as conn:
        await repository.reopen(conn, [UUID(id_) for id_ in early["changes"]])


def _item(coming: ComingPrice) -> dict[str, Any]:
    """Return the item for Stripe, which sets the quantity to 1 unless it is told another."""
    return _items_param(coming.item, coming.price, coming.quantity)


def _items_param(item: str | None, price: str, quantity: int | None) -> dict[str, Any]:
    params = {"id": item, "price": price}
    return params if quantity is None else {**params, "quantity": quantity}
