"""A customer's balance at Stripe, which their next invoices use up: seen, added to, taken off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mpanel_billing import money
from mpanel_billing.access.audit import Actor
from mpanel_billing.access.ceilings import counted_refunds
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, StripeObjectMissingError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.balances import Movement, list_movements, move_balance
from mpanel_billing.stripe_gateway.charges import CHANGE_ID
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.amounts import refuse_unchargeable
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.payers import Payer, PayerOf, find_payer, list_payers
from mpanel_billing.subscriptions.promise import preview_outdated
from mpanel_billing.subscriptions.records import Balance
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.requested_changes import REPEATABLE_FOR, StripeRequest
from mpanel_billing.subscriptions.stripe_requests import made_by, make_once

Move = Literal["add", "take"]
"""Give the customer credit, or take credit off."""


@dataclass(frozen=True, slots=True)
class BalanceRequest:
    """Who adds how much credit to whose balance, or takes it off, and why.

    `amount` is in minor units of the payer's currency, `key` the client's idempotency key. The
    customer can read the `reason` on Stripe's pages. `before`: only if the balance still is that.
    """

    by: Actor
    payer: PayerOf
    move: Move
    amount: int
    reason: str
    key: str | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class BalancePreview:
    """A balance as it is, and as a request would make it."""

    before: Balance
    after: Balance


@dataclass(frozen=True, slots=True)
class Moved:
    """A balance as it is after a request; `movement_id` is Stripe's, of what the request made."""

    balance: Balance
    movement_id: str


@dataclass(frozen=True, slots=True)
class History:
    """The balances of a customer, and what has moved them, the newest first."""

    balances: Sequence[Balance]
    movements: Sequence[Movement]


async def get_history(mirror: Mirror, named: CustomerRef) -> History:
    """Return a customer's balances with the latest hundred movements of each Stripe customer.

    NotFoundError, StripeError.
    """
    customer_id, stripe_ids = await list_payers(mirror, named, None)
    movements: list[Movement] = []
    for stripe_id in stripe_ids:
        try:
            movements += await list_movements(mirror.stripe, stripe_id)
        except StripeObjectMissingError:  # deleted, or of another account
            continue
    async with acquired(mirror.pool) as conn:
        balances = await repository.customers.list_balances(
            conn, customer_id, livemode=mirror.livemode
        )
    movements.sort(key=lambda one: one.created, reverse=True)
    return History(balances, movements)


async def preview_balance(mirror: Mirror, request: BalanceRequest) -> BalancePreview:
    """Return what a request would make of the balance; changes nothing. Errors as below."""
    payer = await find_payer(mirror, request.payer)
    async with acquired(mirror.pool) as conn:
        held = await _balance(conn, payer, request)
    after = held.balance + _signed(held, request)
    return BalancePreview(held, Balance(held.stripe_customer_id, held.currency, after))


async def change_balance(mirror: Mirror, request: BalanceRequest) -> Moved:
    """Add credit, or take away at most what is left; a repeated request has no further effect.

    ConflictError for more than there is, or another `before`, RefundCeilingError for more than the
    key may give in a day; NotFoundError, StripeError.
    """
    payer = await find_payer(mirror, request.payer)
    currency = request.payer.currency

    async def decide(conn: Connection) -> Mapping[str, Any]:
        held = await _balance(conn, payer, request)
        if request.before not in {None, held.balance}:
            raise preview_outdated()
        amount = _signed(held, request)
        if amount < 0:
            await counted.count(conn, -amount)
        return {"amount": amount, "currency": currency, "description": request.reason}

    async def send(change: Change) -> str:
        return await _send(mirror, payer, change)

    async def find(_: Mirror, change: Change) -> str | None:
        return await _find(mirror, payer, change)

    wanted = _request(payer, request)
    async with counted_refunds(mirror.pool, request.by, currency) as counted:
        change = await make_once(mirror, request.by, wanted, decide, send, find=find)
    async with acquired(mirror.pool) as conn:
        return Moved(await _balance(conn, payer, request), made_by(change))


def _request(payer: Payer, request: BalanceRequest) -> StripeRequest:
    asked = {
        "payer": payer.stripe_customer_id,
        "move": request.move,
        "amount": request.amount,
        "currency": request.payer.currency,
        "reason": request.reason,
    }
    return StripeRequest("balance", payer.customer_id, asked, request.key, REPEATABLE_FOR)


def _signed(held: Balance, request: BalanceRequest) -> int:
    """Return the amount as Stripe has it: negative gives credit."""
    if request.amount != -held.balance:
        refuse_unchargeable(request.amount, request.payer.currency)
    if request.move == "add":
        return -request.amount
    credit = max(-held.balance, 0)
    if request.amount > credit:
        most = money.format_money(credit, held.currency)
        raise ConflictError(
            f"There is {most} of credit to take off: bill the rest by an invoice.",
            code="balance_too_small",
        )
    return request.amount


async def _balance(conn: Connection, payer: Payer, request: BalanceRequest) -> Balance:
    currency = request.payer.currency
    found = await repository.customers.get_balance(conn, payer.stripe_customer_id, currency)
    return Balance(payer.stripe_customer_id, currency, found)


async def _send(mirror: Mirror, payer: Payer, change: Change) -> str:
    """Move it at Stripe; after an earlier failure, first look whether that was done."""
    made = await _find(mirror, payer, change) if change.attempt > 1 else None
    if made is None:
        params = {**change.params, "metadata": {CHANGE_ID: str(change.id)}}
        key = change.idempotency_key
        made = await move_balance(mirror.stripe, payer.stripe_customer_id, params, key)
    await mirror.refresh("customer", payer.stripe_customer_id)
    return made


async def _find(mirror: Mirror, payer: Payer, change: Change) -> str | None:
    listed = await list_movements(mirror.stripe, payer.stripe_customer_id)
    return next((one.id for one in listed if one.change_id == str(change.id)), None)
