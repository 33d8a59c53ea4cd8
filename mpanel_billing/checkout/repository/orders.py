"""Orders and their Checkout sessions in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self
from uuid import UUID

import asyncpg

from mpanel_billing.checkout.buyer import ExistingCustomer
from mpanel_billing.checkout.purchase import IdempotencyKey, Purchase, Row
from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.stripe_gateway.hosted_pages import OpenedSession

AttemptStatus = Literal["creating", "open", "complete", "expired", "failed"]

_queries = load_queries("checkout")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at an order's session: its frozen params, and what Stripe has created so far."""

    subscription_id: UUID
    attempt: int
    status: AttemptStatus
    params: Mapping[str, Any]
    stripe_session_id: str | None
    stripe_customer_id: str | None
    url: str | None

    @classmethod
    def of(cls, row: asyncpg.Record | Mapping[str, Any]) -> Self:
        """Read a row of `checkout_sessions`."""
        return cls(
            subscription_id=row["subscription_id"],
            attempt=row["attempt"],
            status=row["status"],
            params=row["params"],
            stripe_session_id=row["stripe_session_id"],
            stripe_customer_id=row["stripe_customer_id"],
            url=row["url"],
        )


@dataclass(frozen=True, slots=True)
class RecentOrder:
    """An unpaid order of the same customer, with its latest attempt."""

    fingerprint: bytes
    vouched: bool
    browser_id: UUID | None
    latest: Attempt

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read an entry of `recent`."""
        return cls(
            fingerprint=bytes.fromhex(row["fingerprint"]),
            vouched=row["vouched"],
            browser_id=UUID(row["browser_id"]) if row["browser_id"] else None,
            latest=Attempt.of({**row, "subscription_id": UUID(row["subscription_id"])}),
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """How an order was placed; `left_open` are earlier orders that it could not replace.

    By `person_hash` and `coupon_code` later orders are limited; `limited`: this one is.
    """

    fingerprint: bytes
    vouched: bool
    browser_id: UUID | None
    left_open: Sequence[UUID]
    person_hash: bytes
    coupon_code: str | None
    limited: bool


@dataclass(frozen=True, slots=True)
class NewOrder:
    """The rows of an order that is placed; `customer` is None if they are on record already.

    `params` are those of its first attempt.
    """

    customer: Row | None
    subscription: Row
    items: Sequence[Row]
    charges: Sequence[Row]
    domains: Sequence[Row]
    placed: Placed
    params: Row


@dataclass(frozen=True, slots=True)
class CustomerOnRecord:
    """A customer, with their principal Stripe customer, whether usable or not."""

    id: UUID
    principal: str | None


@dataclass(frozen=True, slots=True)
class BegunOrder:
    """What an order depends on, under the buyer's lock.

    Of its Idempotency-Key: whether it belongs to this request, the order that it has led to, and
    the response if there is one already; then the rest is not read. `on_sale`: the catalogue still
    has what the order was priced by. `recent`: unpaid orders of the customer, newest first, always
    with that of the key.
    """

    same_request: bool
    keyed_id: UUID | None
    response: Mapping[str, Any] | None
    on_sale: bool
    customer_id: UUID | None
    recent: Sequence[RecentOrder]


async def lock_buyer(conn: Connection, buyer: str) -> None:
    """Lock out other orders by the same buyer until the transaction ends."""
    await _queries.lock_buyer.execute(conn, buyer=buyer)


async def begin_order(
    conn: Connection,
    purchase: Purchase,
    key: IdempotencyKey | None,
    *,
    livemode: bool,
    within: timedelta,
) -> BegunOrder:
    """Begin the transaction of an order: lock out other orders by the same buyer until it ends.

    Claims the client's key, which counts as new after 24 hours. Finds the customer whose orders are
    placed at the buyer's e-mail address, ignoring case; an account of mPanel counts only if its
    address is verified. `within`: how old an unpaid order may be to count as recent.
    """
    prices = {line.price.id: line.price.version for line in purchase.priced.lines}
    row = await _queries.begin_order.fetch_one(
        conn,
        buyer=purchase.buyer_key,
        email=purchase.buyer.email,
        customer_id=purchase.existing.id if purchase.existing else None,
        key=key.key if key else None,
        request_hash=key.request_hash if key else None,
        livemode=livemode,
        within=within,
        price_ids=list(prices),
        price_versions=list(prices.values()),
    )
    assert row is not None  # noqa: S101 - the function returns one row
    return BegunOrder(
        same_request=row["same_request"],
        keyed_id=row["keyed_id"],
        response=row["response"],
        on_sale=bool(row["on_sale"]),
        customer_id=row["customer_id"],
        recent=tuple(RecentOrder.of(found) for found in row["recent"] or ()),
    )


async def get_customer(conn: Connection, customer_id: UUID) -> CustomerOnRecord | None:
    """Return a customer by our id, also by one that has joined another since."""
    row = await _queries.get_customer.fetch_one(conn, customer_id=customer_id)
    return CustomerOnRecord(row["id"], row["stripe_customer_id"]) if row else None


async def list_debts(conn: Connection, customer_id: UUID) -> Sequence[str]:
    """Return the first invoices of a customer's terms that are due and unpaid, in words."""
    rows = await _queries.list_debts.fetch(conn, customer_id=customer_id)
    return [row["detail"] for row in rows]


async def get_currency_of_customer(
    conn: Connection, customer_id: UUID, *, livemode: bool
) -> str | None:
    """Return the currency of what a customer pays now; None if they pay for nothing."""
    currency: str | None = await _queries.get_currency_of_customer.fetch_value(
        conn, customer_id=customer_id, livemode=livemode
    )
    return currency


async def list_vouched_stripe_customers(
    conn: Connection, customer_id: UUID, currency: str, *, livemode: bool
) -> Mapping[str, bool]:
    """Return on which Stripe customers a vouched order may run, the principal one first.

    The value is whether an order in this currency may.
    """
    rows = await _queries.list_vouched_stripe_customers.fetch(
        conn, customer_id=customer_id, currency=currency, livemode=livemode
    )
    return {row["id"]: row["in_currency"] for row in rows}


async def insert_order(conn: Connection, order: NewOrder, key: str | None) -> Attempt:
    """Insert a provisional subscription with all that belongs to it, and its first attempt.

    `key` is the client's, which has led to it. Stripe has not been called yet.
    """
    placed = order.placed
    row = await _queries.insert_order.fetch_one(
        conn,
        customer=order.customer,
        subscription=order.subscription,
        items=order.items,
        charges=order.charges,
        domains=order.domains,
        placed={
            "fingerprint": placed.fingerprint.hex(),
            "vouched": placed.vouched,
            "browser_id": placed.browser_id,
            "left_open": placed.left_open,
            "person_hash": placed.person_hash.hex(),
            "coupon_code": placed.coupon_code,
            "limited": placed.limited,
        },
        params=order.params,
        key=key,
    )
    assert row is not None  # noqa: S101 - an INSERT with RETURNING returns or raises
    return Attempt.of(row)


async def insert_attempt(
    conn: Connection, subscription_id: UUID, attempt: int, *, livemode: bool, params: Row
) -> Attempt:
    """Insert a further attempt at an order, before Stripe is called."""
    row = await _queries.insert_attempt.fetch_one(
        conn, subscription_id=subscription_id, attempt=attempt, livemode=livemode, params=params
    )
    assert row is not None  # noqa: S101 - an INSERT with RETURNING returns or raises
    return Attempt.of(row)


async def call_off_orders(conn: Connection, subscription_ids: Sequence[UUID]) -> None:
    """Mark the orders as superseded by another one."""
    await _queries.call_off_orders.execute(conn, subscription_ids=subscription_ids)


async def take_up_order(conn: Connection, subscription_id: UUID, browser_id: UUID | None) -> None:
    """Mark an order as no longer superseded, and as nobody's if another browser has placed it."""
    await _queries.take_up_order.execute(
        conn, subscription_id=subscription_id, browser_id=browser_id
    )


async def supersede_attempts(conn: Connection, subscription_ids: Sequence[UUID]) -> None:
    """Cancel the attempts of these orders whose session is still being created."""
    await _queries.supersede_attempts.execute(conn, subscription_ids=subscription_ids)


async def get_attempt(conn: Connection, subscription_id: UUID, attempt: int) -> Attempt | None:
    """Read one attempt."""
    row = await _queries.get_attempt.fetch_one(
        conn, subscription_id=subscription_id, attempt=attempt
    )
    return Attempt.of(row) if row else None


async def store_stripe_customer(
    conn: Connection, attempt: Attempt, stripe_customer_id: str, existing: ExistingCustomer | None
) -> None:
    """Store the attempt's Stripe customer, which may be the principal one of `existing`."""
    await _queries.store_stripe_customer.execute(
        conn,
        subscription_id=attempt.subscription_id,
        attempt=attempt.attempt,
        stripe_customer_id=stripe_customer_id,
        is_principal=existing is not None and not existing.keeps_principal,
        replaced=existing.principal if existing else None,
    )


async def open_attempt(
    conn: Connection,
    attempt: Attempt,
    session: OpenedSession,
    key: str | None = None,
    response: Mapping[str, Any] | None = None,
) -> bool:
    """Store the session that Stripe has opened, and the response for the client's key.

    False, and nothing is stored, if the attempt is not waiting for a session.
    """
    row = await _queries.open_attempt.fetch_one(
        conn,
        subscription_id=attempt.subscription_id,
        attempt=attempt.attempt,
        stripe_session_id=session.id,
        url=session.url,
        payment_status=session.payment_status,
        expires_at=session.expires_at,
        key=key,
        response=response,
    )
    return row is not None


async def note_superseded_session(
    conn: Connection, attempt: Attempt, session: OpenedSession
) -> None:
    """Record a session that was created after its order had been superseded."""
    await _queries.note_superseded_session.execute(
        conn,
        subscription_id=attempt.subscription_id,
        attempt=attempt.attempt,
        stripe_session_id=session.id,
        expires_at=session.expires_at,
    )


async def fail_attempt(conn: Connection, attempt: Attempt, error: str) -> None:
    """Mark an attempt as failed; the next one has its own keys and params."""
    await _queries.fail_attempt.execute(
        conn, subscription_id=attempt.subscription_id, attempt=attempt.attempt, error=error
    )


async def link_idempotency_key(conn: Connection, key: str, subscription_id: UUID) -> None:
    """Link a key to the order it has led to."""
    await _queries.link_idempotency_key.execute(conn, key=key, subscription_id=subscription_id)


async def store_idempotent_response(
    conn: Connection, key: str, status: int, response: Mapping[str, Any]
) -> None:
    """Store the response for a key."""
    await _queries.store_idempotent_response.execute(
        conn, key=key, status=status, response=response
    )
