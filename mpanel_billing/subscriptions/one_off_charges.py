"""Charge a subscription for something once, with its next invoice.

Until that is made the charge waits at Stripe: it can be seen, and withdrawn. It is taxed as the
subscription is; no discount of the subscription lowers it, so what was agreed is charged.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    ConflictError,
    NotFoundError,
    StripeError,
    StripeObjectMissingError,
)
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.charges import CHANGE_ID, delete_pending_item
from mpanel_billing.stripe_gateway.invoices import UpcomingInvoice, preview_upcoming
from mpanel_billing.stripe_gateway.one_off_charges import (
    OneOffCharge,
    create_charge,
    get_charge,
    list_made,
)
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.amounts import refuse_unchargeable
from mpanel_billing.subscriptions.lifecycle import (
    REASON,
    ChangeRequest,
    refresh,
    require_changeable,
)
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.manual_invoices import NewLine
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.requested_changes import REPEATABLE_FOR, StripeRequest
from mpanel_billing.subscriptions.stripe_requests import carry_out, made_by, make_once

_BILLED = frozenset({"active", "trialing", "past_due"})
"""The statuses in which Stripe charges the next invoice."""


async def preview_charge(mirror: Mirror, request: ChangeRequest, line: NewLine) -> UpcomingInvoice:
    """Return the next invoice as it would be with a charge; raises as `add_charge`."""
    await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        held = await _require_billed(conn, mirror, request)
    refuse_unchargeable(line.unit_amount, held.currency, "unitAmount")
    item = {
        "amount": line.unit_amount * line.quantity,
        "currency": held.currency,
        "description": line.description,
        "discountable": False,
    }
    found = await preview_upcoming(mirror.stripe, held.stripe_id or "", [item])
    if found is None:
        raise _not_billed(held)
    return found


async def add_charge(
    mirror: Mirror, request: ChangeRequest, line: NewLine, *, reason: str | None
) -> OneOffCharge:
    """Put a charge on the next invoice; a repeated request has no further effect.

    ConflictError for a subscription that is not billed again as it stands, or while another change
    of it runs; NotFoundError, StripeError.
    """
    await refresh(mirror, request)

    async def decide(conn: Connection) -> Mapping[str, Any]:
        return _item(await _require_billed(conn, mirror, request), line, reason)

    async def send(change: Change) -> str:
        return await _send(mirror, change)

    asked = {
        "description": line.description,
        "unit_amount": line.unit_amount,
        "quantity": line.quantity,
        "reason": reason,
    }
    wanted = StripeRequest("charge", request.subscription_id, asked, request.key, REPEATABLE_FOR)
    change = await make_once(mirror, request.by, wanted, decide, send, find=_find)
    try:
        return await get_charge(mirror.stripe, made_by(change))
    except StripeObjectMissingError as error:
        raise ConflictError(
            "This charge was withdrawn. Send another Idempotency-Key to make it again.",
            code="charge_withdrawn",
        ) from error


def _item(held: Subscription, line: NewLine, reason: str | None) -> dict[str, Any]:
    """Return the params of the invoice item."""
    refuse_unchargeable(line.unit_amount, held.currency, "unitAmount")
    return {
        "customer": held.stripe_customer_id,
        "subscription": held.stripe_id,
        "currency": held.currency,
        "description": line.description,
        "quantity": line.quantity,
        "unit_amount_decimal": str(line.unit_amount),
        "discountable": False,
        **({REASON: reason} if reason else {}),
    }


async def list_charges(
    mirror: Mirror, subscription_id: UUID, named: CustomerRef
) -> Sequence[OneOffCharge]:
    """Return the charges of a subscription that were made here, the newest first.

    NotFoundError, StripeError.
    """
    held = await get_subscription(mirror, subscription_id, named)
    if held.stripe_id is None or held.stripe_customer_id is None:
        return ()
    return await list_made(mirror.stripe, held.stripe_customer_id, held.stripe_id)


async def withdraw_charge(
    mirror: Mirror, request: ChangeRequest, charge_id: str, *, reason: str | None
) -> bool:
    """Take a charge off the next invoice, and return whether it was still there.

    ConflictError once it is billed; NotFoundError for one that was not made here, StripeError.
    """
    held = await get_subscription(mirror, request.subscription_id, request.named)
    waits = await _waits(mirror, held, charge_id)

    async def decide(_: Connection) -> Mapping[str, Any] | None:
        return {"charge": charge_id, REASON: reason} if waits else None

    async def send(_: Change) -> None:
        await _withdraw(mirror, held, charge_id)

    asked = {"charge": charge_id, "reason": reason}
    wanted = StripeRequest("withdraw_charge", held.id, asked, request.key)
    return await carry_out(mirror, request.by, wanted, decide, send) is not None


async def _require_billed(conn: Connection, mirror: Mirror, request: ChangeRequest) -> Subscription:
    """Return the subscription; ConflictError if no further invoice of it is charged."""
    held = await require_changeable(conn, mirror, request)
    if held.stripe_status not in _BILLED or held.collection_paused or held.will_end:
        raise _not_billed(held)
    return held


def _not_billed(held: Subscription) -> ConflictError:
    state = "set to end" if held.will_end else "paused or unpaid"
    return ConflictError(
        f"This subscription is {state}, so no further invoice of it is charged as it stands. Bill"
        " it by an invoice of its own.",
        code="not_billed_again",
    )


async def _send(mirror: Mirror, change: Change) -> str:
    """Make the charge; after an earlier failure, first look whether it is there."""
    made = await _find(mirror, change) if change.attempt > 1 else None
    if made is not None:
        return made
    params = {name: value for name, value in change.params.items() if name != REASON}
    params["metadata"] = {CHANGE_ID: str(change.id)}
    return (await create_charge(mirror.stripe, params, change.idempotency_key)).id


async def _find(mirror: Mirror, change: Change) -> str | None:
    params = change.params
    made = await list_made(mirror.stripe, params["customer"], params["subscription"])
    return next((one.id for one in made if one.change_id == str(change.id)), None)


async def _waits(mirror: Mirror, held: Subscription, charge_id: str) -> bool:
    """Return whether a charge is still to be billed; False: it was withdrawn.

    ConflictError if it is billed, NotFoundError if it is none that was made here for the
    subscription.
    """
    try:
        found = await get_charge(mirror.stripe, charge_id)
    except StripeObjectMissingError as error:
        async with acquired(mirror.pool) as conn:
            if await repository.changes.knows_charge(conn, held.id, charge_id):
                return False
        raise _unknown() from error
    if found.change_id is None or found.stripe_subscription_id != held.stripe_id:
        raise _unknown()
    if found.stripe_invoice_id is not None:
        raise ConflictError(
            f"This charge is billed by {found.stripe_invoice_id}. Credit or refund that instead.",
            code="charge_billed",
        )
    return True


def _unknown() -> NotFoundError:
    return NotFoundError("Charge not found.", code="unknown_charge")


async def _withdraw(mirror: Mirror, held: Subscription, charge_id: str) -> None:
    try:
        with suppress(StripeObjectMissingError):  # withdrawn before, and the response was lost
            await delete_pending_item(mirror.stripe, charge_id)
    except StripeError as error:
        if error.definite:
            await _waits(mirror, held, charge_id)  # it may have been billed in this moment
        raise
