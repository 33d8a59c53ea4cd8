"""Create Checkout sessions: from a purchase to the URL of its payment page (rules 10, 11, 13).

First the order is recorded in one transaction; then Stripe is called, outside any transaction,
with idempotency keys made of our row's id and the attempt's number. After a crash at any point,
the same order posted again continues where it stopped.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mpanel_billing.access.persons import PersonHasher
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.checkout import repository
from mpanel_billing.checkout.buyer import ExistingCustomer
from mpanel_billing.checkout.ordered_domains import refuse_reserved
from mpanel_billing.checkout.orders import RecordedOrder, record_order
from mpanel_billing.checkout.purchase import Purchase
from mpanel_billing.checkout.repository import Attempt
from mpanel_billing.checkout.session_params import CatalogueNotPushedError, PaymentTerms
from mpanel_billing.database.notifications import SubscriptionChanges
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.reserved import ReservedNames
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    StripeBrokeError,
    StripeBusyError,
    StripeError,
    StripeObjectMissingError,
    StripeUnavailableError,
)
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.hosted_pages import (
    OpenedSession,
    create_checkout_session,
    create_customer,
    expire_checkout_session,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5

MAX_WAIT_SECONDS = 10.0
"""How long a repeated order waits for the session that another request is creating."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """What checkout needs: the mirror, notice of changed orders, and the terms of payment.

    `persons` recognises a buyer by another of their e-mail addresses; `reserved` are the domains
    that nobody can order.
    """

    mirror: Mirror
    changes: SubscriptionChanges
    terms: PaymentTerms
    persons: PersonHasher
    reserved: ReservedNames


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key for its request, and a hash of the request."""

    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """The payment page of an order."""

    url: str
    session_id: str
    subscription_id: UUID


async def load_offers(checkout: Checkout) -> Catalogue:
    """Return what is on sale now."""
    async with acquired(checkout.mirror.pool) as conn:
        return await load_catalogue(conn, livemode=checkout.mirror.livemode)


async def find_existing_customer(
    checkout: Checkout, customer_id: UUID, currency: str
) -> ExistingCustomer:
    """Return a customer by our id, with the Stripe customer on which this order may run.

    Stripe allows the subscriptions of one of its customers one currency, so they may have several.
    Stripe is called, because an order on a deleted customer would fail every time.
    InvalidRequestError for an unknown id; StripeError.
    """
    mirror = checkout.mirror
    async with acquired(mirror.pool) as conn:
        found = await repository.get_customer(conn, customer_id)
        if found is None:
            raise _unknown_customer()
        vouched = await repository.list_vouched_stripe_customers(
            conn, found.id, currency, livemode=mirror.livemode
        )
    chosen = await _first_that_exists(mirror, [id_ for id_, fits in vouched.items() if fits])
    keeps_principal = vouched.get(found.principal or "") is False  # it is for another currency
    return ExistingCustomer(found.id, chosen, found.principal, keeps_principal)


def _unknown_customer() -> InvalidRequestError:
    return InvalidRequestError(
        "Customer not found.", code="unknown_customer", fields={"customerId": "not found"}
    )


async def _first_that_exists(mirror: Mirror, stripe_customer_ids: Sequence[str]) -> str | None:
    for id_ in stripe_customer_ids:
        if await _exists(mirror, id_):
            return id_
    return None


async def _exists(mirror: Mirror, stripe_customer_id: str) -> bool:
    try:
        customer = await mirror.refresh("customer", stripe_customer_id)
    except StripeObjectMissingError:
        logger.warning("Stripe has no such customer", extra={"objectId": stripe_customer_id})
        return False
    return not customer.get("deleted")


async def create_session(
    checkout: Checkout, purchase: Purchase, key: IdempotencyKey | None = None
) -> PaymentPage:
    """Record the purchase and return its payment page.

    The same purchase again within minutes, or under the same key, gets the same page. Raises
    ConflictError if it contradicts another request or another customer has a domain of it,
    InvalidRequestError for a domain that nobody can order, StripeError if Stripe fails: then the
    same purchase can be posted again.
    """
    refuse_reserved(checkout.reserved, purchase.order.domains)
    recorded = await _record(checkout, purchase, key)
    if isinstance(recorded, PaymentPage):
        return recorded
    for session_id in recorded.superseded:
        await _close_session(checkout, session_id)
    attempt = recorded.attempt
    page = _page_of(attempt) or await _open_session(checkout, purchase, attempt)
    logger.info(
        "order placed",
        extra={
            "subscriptionId": str(page.subscription_id),
            "attempt": attempt.attempt,
            "repeated": attempt.status == "open",
        },
    )
    if key:
        async with acquired(checkout.mirror.pool) as conn:
            await repository.store_idempotent_response(conn, key.key, 200, _stored(page))
    return page


async def _record(
    checkout: Checkout, purchase: Purchase, key: IdempotencyKey | None
) -> RecordedOrder | PaymentPage:
    """Record the order; or return the payment page, if the key already has one."""
    try:
        async with transaction(checkout.mirror.pool) as conn:
            await repository.lock_buyer(conn, purchase.buyer_key)
            if key is None:
                return await _record_order(conn, checkout, purchase, None)
            claimed = await repository.claim_idempotency_key(conn, key.key, key.request_hash)
            if not claimed.same_request:
                raise _key_reused()
            if claimed.response is not None:
                return _restored(claimed.response)
            recorded = await _record_order(conn, checkout, purchase, claimed.subscription_id)
            await repository.link_idempotency_key(conn, key.key, recorded.attempt.subscription_id)
            return recorded
    except CatalogueNotPushedError as error:
        logger.error(  # noqa: TRY400 - the traceback does not help the operator
            "Stripe does not have %s: run `mpanel-billing catalog push`", error.missing
        )
        raise


async def _record_order(
    conn: Connection, checkout: Checkout, purchase: Purchase, keyed_id: UUID | None
) -> RecordedOrder:
    return await record_order(
        conn,
        purchase,
        checkout.terms,
        checkout.persons.of_address(purchase.buyer.email),
        keyed_id,
        livemode=checkout.mirror.livemode,
    )


def _key_reused() -> ConflictError:
    return ConflictError(
        "This Idempotency-Key belongs to another request.", code="idempotency_key_reused"
    )


async def _open_session(checkout: Checkout, purchase: Purchase, attempt: Attempt) -> PaymentPage:
    try:
        customer_id = await _ensure_stripe_customer(checkout, purchase, attempt)
        session = await create_checkout_session(
            checkout.mirror.stripe,
            {**attempt.params["session"], "customer": customer_id},
            f"checkout-session-{attempt.subscription_id}-{attempt.attempt}",
        )
    except StripeError as error:
        return await _recover(checkout, attempt, error)
    async with acquired(checkout.mirror.pool) as conn:
        opened = await repository.open_attempt(conn, attempt, session)
    if not opened:
        await _yield_to_other(checkout, attempt, session)
    return PaymentPage(session.url, session.id, attempt.subscription_id)


async def _ensure_stripe_customer(checkout: Checkout, purchase: Purchase, attempt: Attempt) -> str:
    """Create a Stripe customer for the attempt, unless mPanel's backend named an existing one.

    Nobody else has proved that they own an existing one (rule 11).
    """
    if attempt.stripe_customer_id:
        return attempt.stripe_customer_id
    customer_id = await create_customer(
        checkout.mirror.stripe,
        attempt.params["customer"],
        f"customer-{attempt.subscription_id}-{attempt.attempt}",
    )
    existing = purchase.existing.on_new_stripe_customer() if purchase.existing else None
    async with acquired(checkout.mirror.pool) as conn:
        await repository.store_stripe_customer(conn, attempt, customer_id, existing)
    return customer_id


async def _recover(checkout: Checkout, attempt: Attempt, error: StripeError) -> PaymentPage:
    """Make the order repeatable after a Stripe error, and raise an error for the buyer.

    If the outcome is unknown, the attempt stays as it is: its keys will show what happened. If
    another request has opened the session, or is about to, return that one's page.
    """
    logger.warning(
        "no payment page: %s",
        error,
        extra={"subscriptionId": str(attempt.subscription_id), "attempt": attempt.attempt},
    )
    with checkout.changes.watch(attempt.subscription_id) as changed:
        if error.definite or isinstance(error, StripeBrokeError):
            async with acquired(checkout.mirror.pool) as conn:
                await repository.fail_attempt(conn, attempt, str(error))
        page = await _page_of_other_request(checkout, attempt)
        if page is None and isinstance(error, StripeBusyError):
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), MAX_WAIT_SECONDS)
            page = await _page_of_other_request(checkout, attempt)
    if page is None:
        raise _for_buyer(error) from error
    return page


async def _page_of_other_request(checkout: Checkout, attempt: Attempt) -> PaymentPage | None:
    async with acquired(checkout.mirror.pool) as conn:
        now = await repository.get_attempt(conn, attempt.subscription_id, attempt.attempt)
    return _page_of(now) if now else None


def _for_buyer(error: StripeError) -> StripeError:
    if isinstance(error, StripeUnavailableError):
        return error
    return StripeError(
        "The payment page could not be opened. Nothing was charged; please try again in a moment.",
        code=error.code,
        retry_after=RETRY_SECONDS,
    )


async def _yield_to_other(checkout: Checkout, attempt: Attempt, session: OpenedSession) -> None:
    """Handle an attempt that another request changed while Stripe was being called.

    A double click has opened the same session, which is fine. If the order has been superseded,
    close the session and raise ConflictError.
    """
    async with transaction(checkout.mirror.pool) as conn:
        now = await repository.get_attempt(conn, attempt.subscription_id, attempt.attempt)
        if now and now.stripe_session_id == session.id and now.status != "failed":
            return
        await repository.note_superseded_session(conn, attempt, session)
    await _close_session(checkout, session.id)
    raise ConflictError(
        "Your order has changed. Please continue with the latest one.",
        code="order_changed",
    )


async def _close_session(checkout: Checkout, session_id: str) -> None:
    """Expire a session so that it cannot be paid; one that is already paid stays."""
    try:
        await expire_checkout_session(checkout.mirror.stripe, session_id)
    except StripeUnavailableError:
        raise
    except StripeError as error:
        logger.info("not expired: %s", error, extra={"sessionId": session_id})
    try:
        await checkout.mirror.refresh("checkout.session", session_id)
    except StripeObjectMissingError:
        logger.warning("Stripe has no such session", extra={"sessionId": session_id})


def _page_of(attempt: Attempt) -> PaymentPage | None:
    if attempt.status != "open" or not attempt.url or not attempt.stripe_session_id:
        return None
    return PaymentPage(attempt.url, attempt.stripe_session_id, attempt.subscription_id)


def _stored(page: PaymentPage) -> dict[str, str]:
    return {
        "url": page.url,
        "sessionId": page.session_id,
        "subscriptionId": str(page.subscription_id),
    }


def _restored(stored: Mapping[str, Any]) -> PaymentPage:
    return PaymentPage(stored["url"], stored["sessionId"], UUID(stored["subscriptionId"]))
