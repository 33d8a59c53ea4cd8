"""Recording an order before Stripe hears of it: all of it in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from mpanel_billing.checkout import repository
from mpanel_billing.checkout.purchase import Purchase, fingerprint
from mpanel_billing.checkout.repository import Attempt, RecentOrder
from mpanel_billing.checkout.rows import Row, charge_rows, item_rows, subscription_row
from mpanel_billing.checkout.session_params import PaymentTerms, customer_params, session_params
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError

REPEATABLE_FOR = timedelta(minutes=10)
"""So long the same order again is a repeat, and another one a change of mind (rule 11)."""

_RESUMABLE = frozenset({"creating", "open", "failed"})


@dataclass(frozen=True, slots=True)
class Placed:
    """An order on record. `attempt` is open already, or to be made.

    `overtaken` are the open sessions that the buyer must not be able to pay any more.
    """

    attempt: Attempt
    overtaken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shop:
    """Under which terms, and in which mode of Stripe, is sold."""

    terms: PaymentTerms
    livemode: bool


@dataclass(frozen=True, slots=True)
class _Sale:
    """A purchase in the shop, by a customer in our books."""

    shop: Shop
    purchase: Purchase
    customer_id: UUID


async def place_order(
    conn: Connection, shop: Shop, purchase: Purchase, keyed_id: UUID | None
) -> Placed:
    """Record the purchase, or find it again; the caller holds the buyer's lock.

    `keyed_id` is the order that the client's Idempotency-Key has led to before. Raises
    ConflictError when the buyer has had the trial already, CatalogueNotPushedError when Stripe
    does not know what is sold.
    """
    print_ = fingerprint(purchase)
    subscription_id = uuid4()
    customer_id = await _customer_in_books(conn, purchase, subscription_id)
    recent = await repository.list_recent_orders(
        conn,
        customer_id,
        livemode=shop.livemode,
        vouched=purchase.known is not None,
        within=REPEATABLE_FOR,
        keyed_id=keyed_id,
    )
    overtaken = await _overtake(conn, [order for order in recent if order.fingerprint != print_])
    sale = _Sale(shop, purchase, customer_id)
    attempt = await _take_up_repeat(conn, sale, recent, print_)
    if attempt is None:
        attempt = await _insert_order(conn, sale, subscription_id, print_)
    return Placed(attempt, overtaken)


async def _customer_in_books(conn: Connection, purchase: Purchase, subscription_id: UUID) -> UUID:
    """Return who orders, in our books; somebody new comes with the order."""
    if purchase.known:
        return purchase.known.id
    return await repository.find_customer(
        conn, purchase.buyer.email
    ) or await repository.insert_customer(
        conn, purchase.buyer, purchase.priced.currency, subscription_id
    )


async def _overtake(conn: Connection, changed: Sequence[RecentOrder]) -> tuple[str, ...]:
    """Call off other orders of the buyer; return their sessions that are open at Stripe."""
    if changed:
        await repository.call_off_orders(conn, [o.latest.subscription_id for o in changed])
    unmade = [o.latest.subscription_id for o in changed if o.latest.status == "creating"]
    if unmade:
        await repository.supersede_attempts(conn, unmade)
    return tuple(
        order.latest.stripe_session_id
        for order in changed
        if order.latest.status == "open" and order.latest.stripe_session_id
    )


async def _take_up_repeat(
    conn: Connection, sale: _Sale, recent: Sequence[RecentOrder], print_: bytes
) -> Attempt | None:
    """Go on with the same order's attempt; after a definite failure, with a new one."""
    for order in recent:
        latest = order.latest
        if order.fingerprint != print_ or latest.status not in _RESUMABLE:
            continue
        await repository.take_up_order(conn, latest.subscription_id)
        if latest.status != "failed":
            return latest
        return await _insert_attempt(conn, sale, latest.subscription_id, latest.attempt + 1)
    return None


async def _insert_order(
    conn: Connection, sale: _Sale, subscription_id: UUID, print_: bytes
) -> Attempt:
    await _refuse_second_trial(conn, sale.purchase, sale.customer_id)
    await repository.insert_order(
        conn,
        subscription_row(
            sale.purchase, subscription_id, sale.customer_id, livemode=sale.shop.livemode
        ),
        item_rows(sale.purchase),
        charge_rows(sale.purchase),
        print_,
        vouched=sale.purchase.known is not None,
    )
    return await _insert_attempt(conn, sale, subscription_id, 1)


async def _insert_attempt(
    conn: Connection, sale: _Sale, subscription_id: UUID, attempt: int
) -> Attempt:
    purchase, shop = sale.purchase, sale.shop
    params: Row = {
        "customer": customer_params(purchase.buyer, subscription_id, sale.customer_id),
        "session": session_params(purchase, shop.terms, subscription_id, attempt),
    }
    inserted = await repository.insert_attempt(
        conn, subscription_id, attempt, livemode=shop.livemode, params=params
    )
    known_id = purchase.known.stripe_customer_id if purchase.known else None
    if known_id is None:
        return inserted
    await repository.store_stripe_customer(conn, inserted, known_id, vouched=True)
    return replace(inserted, stripe_customer_id=known_id)


async def _refuse_second_trial(conn: Connection, purchase: Purchase, customer_id: UUID) -> None:
    plan = purchase.priced.plan
    if purchase.priced.trial_days and await repository.had_trial(conn, customer_id, plan.id):
        raise ConflictError(
            f"You have tried {plan.name} for free before. Please order it without the trial.",
            code="trial_used",
            fields={"trialActive": "was used before"},
        )
