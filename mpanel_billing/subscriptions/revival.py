"""Bill an ended customer again, for the same tenant and accounts.

Stripe cannot restart a subscription that has ended: there is a new one, which takes over
(`provisioning.takeover`). What was paid for is not billed again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.reading import ATTEMPT_METADATA_KEY, ORDER_METADATA_KEY, Fields
from mpanel_billing.stripe_gateway.subscriptions import create_subscription, find_subscription
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.lifecycle import Changed, ChangeRequest
from mpanel_billing.subscriptions.lookup import get_subscription, require_subscription
from mpanel_billing.subscriptions.repository import Change
from mpanel_billing.subscriptions.stripe_requests import StripeRequest, carry_out

_SUCCESSORS = UUID("5f7b3c0e-6a5d-4d54-9a39-0c6d2f4f8e11")


async def revive(mirror: Mirror, request: ChangeRequest) -> Changed:
    """Create a subscription at Stripe that takes over the accounts of one that has ended.

    It has the same prices, no trial, and is billed from the end of the time that was paid for; at
    once if that is over, and then nothing is created if the payment fails (PaymentFailedError).
    Repeated, it has no further effect: returns the successor. ConflictError, NotFoundError,
    StripeError.
    """
    ended = await get_subscription(mirror, request.subscription_id, request.named)
    successor_id = uuid5(_SUCCESSORS, str(ended.id))
    at_stripe = await mirror.refresh("subscription", ended.stripe_id) if ended.stripe_id else {}

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_subscription(conn, mirror, ended.id, request.named)
        if not held.is_over:
            raise ConflictError("This subscription has not ended.", code="not_ended")
        revival = await repository.get_revival(conn, ended.id, successor_id)
        if revival["successor_stripe_id"] is not None:
            return None
        _refuse(revival)
        if not await repository.plan_revival(conn, ended.id, successor_id):
            raise _taken_over("Another subscription")
        return _params(at_stripe, successor_id) | _billing_start(revival["paid_until"])

    async def send(change: Change) -> str:
        stripe_id = await _made_before(mirror, change)
        if stripe_id is None:
            stripe_id = await create_subscription(
                mirror.stripe, change.params, change.idempotency_key
            )
        await mirror.refresh("subscription", stripe_id)
        return stripe_id

    wanted = StripeRequest("revive", ended.id, {}, request.key)
    change = await carry_out(mirror, request.by, wanted, decide, send)
    after = await get_subscription(mirror, successor_id, request.named)
    return Changed(after, changed=change is not None)


def _refuse(revival: asyncpg.Record) -> None:
    if revival["taken_over_by"] is not None:
        raise _taken_over(f"The subscription {revival['taken_over_by']}")
    if revival["is_held"]:
        raise ConflictError(
            "An operator has suspended this subscription. Lift that first.", code="held"
        )
    if not revival["has_accounts"]:
        raise ConflictError(
            "The accounts of this subscription have been terminated. It can only be ordered again.",
            code="accounts_terminated",
        )


def _taken_over(by: str) -> ConflictError:
    return ConflictError(f"{by} has taken over its accounts.", code="taken_over")


def _params(ended: Mapping[str, Any], successor_id: UUID) -> dict[str, Any]:
    """Return the params of a subscription with the same prices.

    The customer's default payment method is likely newer than that of what has ended.
    """
    fields = Fields(ended)
    metadata = dict(ended.get("metadata") or {})
    metadata.pop(ATTEMPT_METADATA_KEY, None)
    params: dict[str, Any] = {
        "customer": fields.reference("customer"),
        "items": [_item(item) for item in ended["items"]["data"]],
        "metadata": metadata | {ORDER_METADATA_KEY: str(successor_id)},
        "payment_behavior": "error_if_incomplete",
    }
    own = fields.child("customer", "invoice_settings").reference("default_payment_method")
    if own is None and (method := fields.reference("default_payment_method")):
        params["default_payment_method"] = method
    if ended.get("collection_method") == "send_invoice":
        due = {"days_until_due": ended.get("days_until_due")}
        return params | {"collection_method": "send_invoice"} | due
    return params


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    quantity = {} if item.get("quantity") is None else {"quantity": item["quantity"]}
    return {"price": item["price"]["id"], **quantity}


def _billing_start(paid_until: datetime | None) -> dict[str, Any]:
    """Bill from then on; None: now."""
    if paid_until is None:
        return {}
    return {
        "billing_cycle_anchor": int(paid_until.timestamp()),
        "proration_behavior": "none",
    }


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
