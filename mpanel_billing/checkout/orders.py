"""Record an order in one transaction, before Stripe is called."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from mpanel_billing.checkout.limits import find_refusal
from mpanel_billing.checkout.ordered_domains import domain_rows, refuse_taken
from mpanel_billing.checkout.purchase import (
    Purchase,
    Row,
    charge_rows,
    customer_row,
    fingerprint,
    item_rows,
    subscription_row,
)
from mpanel_billing.checkout.repository import orders
from mpanel_billing.checkout.repository.orders import (
    Attempt,
    BegunOrder,
    NewOrder,
    Placed,
    RecentOrder,
)
from mpanel_billing.checkout.repository.redemptions import Asking
from mpanel_billing.checkout.session_params import PaymentTerms, customer_params, session_params
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError

REPEATABLE_FOR = timedelta(minutes=10)
"""Within this time the same order is a repeat, and another one replaces it (rule 11)."""

_RESUMABLE = frozenset({"creating", "open", "failed"})
_PAYABLE = frozenset({"creating", "open"})


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    """An order on record; the session of its `attempt` is open, or still to be created.

    `superseded` are open sessions of earlier orders, which must be closed.
    """

    attempt: Attempt
    superseded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sale:
    """A purchase by a customer on record, under the terms of payment."""

    terms: PaymentTerms
    purchase: Purchase
    customer_id: UUID
    person_hash: bytes
    livemode: bool


async def record_order(
    conn: Connection,
    purchase: Purchase,
    terms: PaymentTerms,
    person_hash: bytes,
    begun: BegunOrder,
    *,
    key: str | None,
    livemode: bool,
) -> RecordedOrder:
    """Record the purchase, or find it again; the transaction is that of `begin_order`.

    `person_hash` is that of the buyer's mailbox, `key` the client's Idempotency-Key. Raises
    ConflictError if another customer has a domain of the order, or if the buyer, or everybody, has
    had what is limited; CatalogueNotPushedError if Stripe does not have what is being ordered.
    """
    await refuse_taken(conn, purchase)
    digest = fingerprint(purchase)
    others = [order for order in begun.recent if order.fingerprint != digest]
    replaced = [order for order in others if _may_replace(purchase, order, begun.keyed_id)]
    superseded = await _supersede(conn, replaced)
    sale = _Sale(terms, purchase, begun.customer_id or uuid4(), person_hash, livemode)
    attempt = await _resume_repeat(conn, sale, begun.recent, digest)
    if attempt is None:
        left_open = [order.latest for order in others if order not in replaced]
        placed = _placed(sale, digest, left_open)
        is_new = begun.customer_id is None
        attempt = await _insert_order(conn, sale, placed, key, is_new=is_new)
    elif key is not None and begun.keyed_id != attempt.subscription_id:
        await orders.link_idempotency_key(conn, key, attempt.subscription_id)
    return RecordedOrder(attempt, superseded)


def _may_replace(purchase: Purchase, order: RecentOrder, keyed_id: UUID | None) -> bool:
    """Whether the buyer has proved that the earlier order is their own.

    mPanel vouches for them, they know its Idempotency-Key, or it was placed with the same browser.
    """
    if purchase.existing:
        return True
    same_browser = purchase.browser_id is not None and order.browser_id == purchase.browser_id
    return not order.vouched and (same_browser or order.latest.subscription_id == keyed_id)


def _placed(sale: _Sale, digest: bytes, left_open: Sequence[Attempt]) -> Placed:
    purchase, priced = sale.purchase, sale.purchase.priced
    return Placed(
        fingerprint=digest,
        vouched=purchase.existing is not None,
        browser_id=purchase.browser_id,
        left_open=[each.subscription_id for each in left_open if each.status in _PAYABLE],
        person_hash=sale.person_hash,
        coupon_code=priced.coupon.code if priced.coupon else None,
        limited=priced.limited,
    )


async def _supersede(conn: Connection, changed: Sequence[RecentOrder]) -> tuple[str, ...]:
    """Supersede other orders of the buyer; return their sessions that are open in Stripe."""
    if changed:
        await orders.call_off_orders(conn, [o.latest.subscription_id for o in changed])
    unmade = [o.latest.subscription_id for o in changed if o.latest.status == "creating"]
    if unmade:
        await orders.supersede_attempts(conn, unmade)
    return tuple(
        order.latest.stripe_session_id
        for order in changed
        if order.latest.status == "open" and order.latest.stripe_session_id
    )


async def _resume_repeat(
    conn: Connection, sale: _Sale, recent: Sequence[RecentOrder], digest: bytes
) -> Attempt | None:
    """Resume the attempt of the same order; after a definite failure, insert a new one."""
    for order in recent:
        latest = order.latest
        if order.fingerprint != digest or latest.status not in _RESUMABLE:
            continue
        await _refuse_what_is_taken(conn, sale, latest.subscription_id)
        await orders.take_up_order(conn, latest.subscription_id, sale.purchase.browser_id)
        if latest.status != "failed":
            return latest
        return await _insert_attempt(conn, sale, latest.subscription_id, latest.attempt + 1)
    return None


async def _insert_order(
    conn: Connection, sale: _Sale, placed: Placed, key: str | None, *, is_new: bool
) -> Attempt:
    purchase, subscription_id = sale.purchase, uuid4()
    await _refuse_what_is_taken(conn, sale, subscription_id)
    order = NewOrder(
        customer=customer_row(purchase, sale.customer_id, subscription_id) if is_new else None,
        subscription=subscription_row(
            purchase, subscription_id, sale.customer_id, livemode=sale.livemode
        ),
        items=item_rows(purchase),
        charges=charge_rows(purchase),
        domains=domain_rows(purchase),
        placed=placed,
        params=_params(sale, subscription_id, 1),
    )
    inserted = await orders.insert_order(conn, order, key)
    return await _on_existing_stripe_customer(conn, sale, inserted)


async def _insert_attempt(
    conn: Connection, sale: _Sale, subscription_id: UUID, attempt: int
) -> Attempt:
    params = _params(sale, subscription_id, attempt)
    inserted = await orders.insert_attempt(
        conn, subscription_id, attempt, livemode=sale.livemode, params=params
    )
    return await _on_existing_stripe_customer(conn, sale, inserted)


def _params(sale: _Sale, subscription_id: UUID, attempt: int) -> Row:
    purchase = sale.purchase
    return {
        "customer": customer_params(purchase.buyer, subscription_id, sale.customer_id),
        "session": session_params(purchase, sale.terms, subscription_id, attempt),
    }


async def _on_existing_stripe_customer(conn: Connection, sale: _Sale, inserted: Attempt) -> Attempt:
    """Have an attempt run on the customer's own Stripe customer, if that was chosen and may be."""
    existing = sale.purchase.existing
    if existing is None or existing.stripe_customer_id is None:
        return inserted
    if not await _may_run_on(conn, sale, existing.id, existing.stripe_customer_id):
        return inserted
    await orders.store_stripe_customer(conn, inserted, existing.stripe_customer_id, existing)
    return replace(inserted, stripe_customer_id=existing.stripe_customer_id)


async def _may_run_on(
    conn: Connection, sale: _Sale, customer_id: UUID, stripe_customer_id: str
) -> bool:
    """Whether no order in another currency has taken the Stripe customer since it was chosen."""
    vouched = await orders.list_vouched_stripe_customers(
        conn, customer_id, sale.purchase.priced.currency, livemode=sale.livemode
    )
    return vouched.get(stripe_customer_id, False)


async def _refuse_what_is_taken(conn: Connection, sale: _Sale, subscription_id: UUID) -> None:
    """Refuse a trial, plan or coupon of which other orders have taken all there is."""
    purchase = sale.purchase
    asking = Asking(
        subscription_id=subscription_id,
        customer_id=sale.customer_id,
        person_hash=sale.person_hash,
        vouched=purchase.existing is not None,
        livemode=sale.livemode,
    )
    refusal = await find_refusal(conn, purchase.priced, asking)
    if refusal is not None:
        raise offer_refused(purchase, refusal.reason) if refusal.is_personal else refusal.reason


def offer_refused(purchase: Purchase, reason: ConflictError) -> ConflictError:
    """Return the error for an offer that this buyer has used up.

    Only a customer for whom mPanel vouches is told what they have had. Others know no more than an
    e-mail address, so they get one sentence, whatever the reason.
    """
    if purchase.existing:
        return reason
    return ConflictError(
        "This trial or coupon is not available for this order. Please order without it.",
        code="offer_unavailable",
    )
