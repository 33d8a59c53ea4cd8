"""From a request to the address of a payment page (rules 10, 11 and 13).

First everything is on record, in one transaction; then Stripe is asked, outside of any, under
keys made of our row's id and the number of the attempt. So whatever dies when, the same order
posted again goes on where it stopped.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.checkout import repository
from mpanel_billing.checkout.placing import Placed, Shop, place_order
from mpanel_billing.checkout.purchase import Purchase
from mpanel_billing.checkout.repository import Attempt
from mpanel_billing.checkout.session_params import CatalogueNotPushedError
from mpanel_billing.database.notifications import SubscriptionChanges
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import (
    ConflictError,
    StripeBrokeError,
    StripeBusyError,
    StripeError,
    StripeObjectMissingError,
    StripeUnavailableError,
)
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.checkout import (
    OpenedSession,
    create_checkout_session,
    create_customer,
    expire_checkout_session,
)
from mpanel_billing.stripe_gateway.gateway import StripeGateway

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5

PATIENCE_SECONDS = 10.0
"""How long a repeated order waits for the page that another request is having made."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What is needed to sell: the books and their changes, Stripe, and the shop's terms."""

    pool: Pool
    changes: SubscriptionChanges
    gateway: StripeGateway
    shop: Shop

    @property
    def mirror(self) -> Mirror:
        """The rows that mirror Stripe."""
        return Mirror(self.pool, self.gateway, self.shop.livemode)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's own name for its request, and a hash of what it sent under it."""

    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """Where the buyer pays which order."""

    url: str
    session_id: str
    subscription_id: UUID


async def load_offers(desk: Desk) -> Catalogue:
    """Read what is on sale now."""
    async with acquired(desk.pool) as conn:
        return await load_catalogue(conn, livemode=desk.shop.livemode)


async def create_session(
    desk: Desk, purchase: Purchase, key: IdempotencyKey | None = None
) -> PaymentPage:
    """Record the purchase and return its payment page.

    The same purchase again within minutes, or under the same key, has the same page. Raises
    ConflictError when it contradicts another request, StripeError when Stripe fails: then the
    same purchase can be posted again.
    """
    placed = await _record(desk, purchase, key)
    if isinstance(placed, PaymentPage):
        return placed
    for session_id in placed.overtaken:
        await _close_session(desk, session_id)
    page = _page_of(placed.attempt) or await _open_session(desk, purchase, placed.attempt)
    logger.info(
        "order placed",
        extra={
            "subscriptionId": str(page.subscription_id),
            "attempt": placed.attempt.attempt,
            "repeated": placed.attempt.status == "open",
        },
    )
    if key:
        async with acquired(desk.pool) as conn:
            await repository.store_idempotent_answer(conn, key.key, 200, _answer_of(page))
    return page


async def _record(
    desk: Desk, purchase: Purchase, key: IdempotencyKey | None
) -> Placed | PaymentPage:
    """Put the order on record; the payment page, where the key has been answered with one."""
    try:
        async with transaction(desk.pool) as conn:
            await repository.lock_buyer(conn, purchase.buyer_key)
            if key is None:
                return await place_order(conn, desk.shop, purchase, None)
            claimed = await repository.claim_idempotency_key(conn, key.key, key.request_hash)
            if not claimed.same_request:
                raise _key_reused()
            if claimed.response is not None:
                return _page_of_answer(claimed.response)
            placed = await place_order(conn, desk.shop, purchase, claimed.subscription_id)
            await repository.link_idempotency_key(conn, key.key, placed.attempt.subscription_id)
            return placed
    except CatalogueNotPushedError as error:
        logger.error(  # noqa: TRY400 - where it was found is no help to the operator
            "Stripe does not know %s: run `mpanel-billing catalog push`", error.missing
        )
        raise


def _key_reused() -> ConflictError:
    return ConflictError(
        "This Idempotency-Key belongs to another request.", code="idempotency_key_reused"
    )


async def _open_session(desk: Desk, purchase: Purchase, attempt: Attempt) -> PaymentPage:
    try:
        customer_id = await _ensure_stripe_customer(desk, purchase, attempt)
        session = await create_checkout_session(
            desk.gateway,
            {**attempt.params["session"], "customer": customer_id},
            f"checkout-session-{attempt.subscription_id}-{attempt.attempt}",
        )
    except StripeError as error:
        return await _recover(desk, attempt, error)
    async with transaction(desk.pool) as conn:
        opened = await repository.open_attempt(conn, attempt, session)
    if not opened:
        await _yield_to_other(desk, attempt, session)
    return PaymentPage(session.url, session.id, attempt.subscription_id)


async def _ensure_stripe_customer(desk: Desk, purchase: Purchase, attempt: Attempt) -> str:
    """Make the attempt's own customer, unless it runs on one that mPanel's backend vouches for.

    Nobody else has proved to own an existing one (rule 11).
    """
    if attempt.stripe_customer_id:
        return attempt.stripe_customer_id
    customer_id = await create_customer(
        desk.gateway,
        attempt.params["customer"],
        f"customer-{attempt.subscription_id}-{attempt.attempt}",
    )
    async with transaction(desk.pool) as conn:
        await repository.store_stripe_customer(
            conn, attempt, customer_id, vouched=purchase.known is not None
        )
    return customer_id


async def _recover(desk: Desk, attempt: Attempt, error: StripeError) -> PaymentPage:
    """Make the order repeatable after a failure of Stripe, and raise it in the buyer's words.

    Without an answer the attempt stays as it is, for its keys to find out what has happened.
    Another request may have made it meanwhile, or be about to: then all is well.
    """
    logger.warning(
        "no payment page: %s",
        error,
        extra={"subscriptionId": str(attempt.subscription_id), "attempt": attempt.attempt},
    )
    with desk.changes.watch(attempt.subscription_id) as changed:
        if error.definite or isinstance(error, StripeBrokeError):
            async with acquired(desk.pool) as conn:
                await repository.fail_attempt(conn, attempt, str(error))
        page = await _page_made_by_other(desk, attempt)
        if page is None and isinstance(error, StripeBusyError):
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), PATIENCE_SECONDS)
            page = await _page_made_by_other(desk, attempt)
    if page is None:
        raise _in_buyers_words(error) from error
    return page


async def _page_made_by_other(desk: Desk, attempt: Attempt) -> PaymentPage | None:
    async with acquired(desk.pool) as conn:
        now = await repository.get_attempt(conn, attempt.subscription_id, attempt.attempt)
    return _page_of(now) if now else None


def _in_buyers_words(error: StripeError) -> StripeError:
    if isinstance(error, StripeUnavailableError):
        return error
    return StripeError(
        "The payment page could not be opened. Nothing was charged; please try again in a moment.",
        code=error.code,
        retry_after=RETRY_SECONDS,
    )


async def _yield_to_other(desk: Desk, attempt: Attempt, session: OpenedSession) -> None:
    """Settle with whoever else has touched the attempt while Stripe was being asked.

    A double click has made the very same session. A changed order has called the attempt off:
    then its session is closed, and ConflictError raised.
    """
    async with transaction(desk.pool) as conn:
        now = await repository.get_attempt(conn, attempt.subscription_id, attempt.attempt)
        if now and now.stripe_session_id == session.id and now.status != "failed":
            return
        await repository.note_overtaken_session(conn, attempt, session)
    await _close_session(desk, session.id)
    raise ConflictError(
        "You have changed your order meanwhile. Please go on with the latest one.",
        code="order_changed",
    )


async def _close_session(desk: Desk, session_id: str) -> None:
    """See to it that nobody can pay a session any more; one that is paid already stays."""
    try:
        await expire_checkout_session(desk.gateway, session_id)
    except StripeUnavailableError:
        raise
    except StripeError as error:
        logger.info("not expired: %s", error, extra={"sessionId": session_id})
    try:
        await desk.mirror.refresh("checkout.session", session_id)
    except StripeObjectMissingError:
        logger.warning("Stripe knows no such session", extra={"sessionId": session_id})


def _page_of(attempt: Attempt) -> PaymentPage | None:
    if attempt.status != "open" or not attempt.url or not attempt.stripe_session_id:
        return None
    return PaymentPage(attempt.url, attempt.stripe_session_id, attempt.subscription_id)


def _answer_of(page: PaymentPage) -> dict[str, str]:
    return {
        "url": page.url,
        "sessionId": page.session_id,
        "subscriptionId": str(page.subscription_id),
    }


def _page_of_answer(answer: Mapping[str, Any]) -> PaymentPage:
    return PaymentPage(answer["url"], answer["sessionId"], UUID(answer["subscriptionId"]))
