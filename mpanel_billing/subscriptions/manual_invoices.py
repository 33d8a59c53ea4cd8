"""Invoices made by hand: for work, or anything else that no subscription charges.

One is a draft first, with the lines, discounts and taxes that it will have: that is its preview.
Money moves once it is finalized (`invoice_actions`): the card is charged, or it is sent to the
customer, who pays it within some days. A draft is deleted if it is not wanted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import NotFoundError, StripeError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.charges import CHANGE_ID
from mpanel_billing.stripe_gateway.drafts import (
    LINE,
    Draft,
    add_line,
    create_draft,
    delete_draft,
    find_draft,
)
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.amounts import refuse_unchargeable
from mpanel_billing.subscriptions.invoice_actions import InvoiceDetails, get_details
from mpanel_billing.subscriptions.lookup import CustomerRef, require_subscription
from mpanel_billing.subscriptions.payers import Payer, PayerOf, find_payer
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.requested_changes import REPEATABLE_FOR, StripeRequest
from mpanel_billing.subscriptions.stripe_requests import made_by, make_once

MOST_LINES = 20
MOST_PIECES = 9999
"""Of a line."""
LONGEST_TERM_DAYS = 365
"""For a customer to pay."""

_LINES = "lines"
"""Among the params of a change: those of the invoice items."""

_REASON = "reason"
"""Among the params of a change: why, for the record."""


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line: `unit_amount` is in minor units, before taxes that are not included."""

    description: str
    unit_amount: int
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class ManualInvoice:
    """Who bills whom for what; `key` is the client's idempotency key.

    `days_until_due` sends it to the customer; None: their card is charged, or that of a
    subscription. `memo` is printed on it, `reason` is for the record. If the payer is that of a
    subscription, it is taxed as that is.
    """

    by: Actor
    payer: PayerOf
    lines: Sequence[NewLine]
    days_until_due: int | None = None
    memo: str | None = None
    reason: str | None = None
    key: str | None = None


async def draft_invoice(mirror: Mirror, request: ManualInvoice) -> InvoiceDetails:
    """Make the draft of an invoice; a repeated request has no further effect.

    NotFoundError, StripeError; ConflictError while another request for the customer runs.
    """
    payer = await find_billed(mirror, request)
    terms = await _terms_of(mirror, payer, request)
    params = {"customer": payer.stripe_customer_id, **_params(request), **terms}

    async def decide(_: Connection) -> Mapping[str, Any]:
        return {**params, _LINES: [_line(one, request.payer.currency) for one in request.lines]}

    async def send(change: Change) -> str:
        return await _send(mirror, change)

    wanted = _request(payer, request)
    change = await make_once(mirror, request.by, wanted, decide, send, find=_find_whole)
    return await _details(mirror, made_by(change))


async def find_billed(mirror: Mirror, request: ManualInvoice) -> Payer:
    """Return who would be billed; raises what `draft_invoice` raises before it makes anything."""
    for number, line in enumerate(request.lines):
        field = f"lines[{number}].unitAmount"
        refuse_unchargeable(line.unit_amount, request.payer.currency, field)
    return await find_payer(mirror, request.payer)


def _request(payer: Payer, request: ManualInvoice) -> StripeRequest:
    asked = {
        "payer": payer.stripe_customer_id,
        **_params(request),
        "subscription": request.payer.subscription_id,
        "lines": [_line(one, request.payer.currency) for one in request.lines],
    }
    return StripeRequest("invoice", payer.customer_id, asked, request.key, REPEATABLE_FOR)


def _params(request: ManualInvoice) -> dict[str, Any]:
    params: dict[str, Any] = {"currency": request.payer.currency}
    if request.reason:
        params[_REASON] = request.reason
    if request.memo:
        params["description"] = request.memo
    if request.days_until_due is not None:
        params |= {"collection_method": "send_invoice", "days_until_due": request.days_until_due}
    return params


def _line(line: NewLine, currency: str) -> dict[str, Any]:
    return {
        "description": line.description,
        "currency": currency,
        "quantity": line.quantity,
        "unit_amount_decimal": str(line.unit_amount),
    }


async def _terms_of(mirror: Mirror, payer: Payer, request: ManualInvoice) -> dict[str, Any]:
    """Return the params that are as a subscription's: its taxes if it is named, and its card.

    Checkout saves a card for the subscription only, not for the customer's other invoices.
    """
    named = request.payer.subscription_id is not None
    charges = request.days_until_due is None and (named or not payer.has_card)
    stripe_id = await _subscription_of(mirror, payer, request) if named or charges else None
    if stripe_id is None:
        return {}
    fields = await mirror.refresh("subscription", stripe_id)
    terms = taxes_of(fields) if named else {}
    card = fields.get("default_payment_method")
    return {**terms, "default_payment_method": card} if card and charges else terms


async def _subscription_of(mirror: Mirror, payer: Payer, request: ManualInvoice) -> str | None:
    """Return the subscription that is named, else the payer's latest that runs."""
    of = request.payer
    async with acquired(mirror.pool) as conn:
        if of.subscription_id is not None:
            held = await require_subscription(conn, mirror, of.subscription_id, of.named)
            return held.stripe_id
        return await repository.customers.find_running(
            conn, payer.customer_id, payer.stripe_customer_id
        )


def taxes_of(subscription: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params that tax an invoice as a subscription is taxed."""
    if (subscription.get("automatic_tax") or {}).get("enabled"):
        return {"automatic_tax": {"enabled": True}}
    rates = [one["id"] for one in subscription.get("default_tax_rates") or ()]
    return {"default_tax_rates": rates} if rates else {}


async def _send(mirror: Mirror, change: Change) -> str:
    """Make the draft and its lines, as far as they are not there.

    If Stripe refuses a line, the draft is deleted: half an invoice is worse than none.
    """
    draft = await _find(mirror, change) if change.attempt > 1 else None
    if draft is None:
        ours = {_LINES, _REASON}
        params = {name: value for name, value in change.params.items() if name not in ours}
        params["metadata"] = {CHANGE_ID: str(change.id)}
        draft = await create_draft(mirror.stripe, params, change.idempotency_key)
    try:
        await _add_lines(mirror, change, draft)
    except StripeError as error:
        if error.definite:
            await delete_draft(mirror.stripe, draft.id)
        raise
    await mirror.refresh("invoice", draft.id)
    return draft.id


async def _add_lines(mirror: Mirror, change: Change, draft: Draft) -> None:
    bound = {"customer": change.params["customer"], "invoice": draft.id}
    for number, line in enumerate(change.params[_LINES]):
        if number not in draft.lines:
            metadata = {CHANGE_ID: str(change.id), LINE: str(number)}
            key = f"{change.idempotency_key}-{number}"
            await add_line(mirror.stripe, {**bound, **line, "metadata": metadata}, key)


async def _find(mirror: Mirror, change: Change) -> Draft | None:
    return await find_draft(mirror.stripe, change.params["customer"], str(change.id))


async def _find_whole(mirror: Mirror, change: Change) -> str | None:
    """Return the draft that an earlier attempt has made, if it has all of its lines."""
    draft = await _find(mirror, change)
    if draft is None or len(draft.lines) < len(change.params[_LINES]):
        return None
    await mirror.refresh("invoice", draft.id)
    return draft.id


async def _details(mirror: Mirror, stripe_id: str) -> InvoiceDetails:
    async with acquired(mirror.pool) as conn:
        found: UUID | None = await repository.invoices.find_invoice(
            conn, stripe_id, livemode=mirror.livemode
        )
    if found is None:
        raise NotFoundError("This invoice is no longer on record.", code="unknown_invoice")
    return await get_details(mirror, found, CustomerRef())
