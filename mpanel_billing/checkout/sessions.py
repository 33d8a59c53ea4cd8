"""Create Checkout sessions: from a purchase to the URL of its payment page (rules 10, 11, 13).

First the order is recorded in one transaction; then Stripe is called, outside any transaction,
with idempotency keys made of our row's id and the attempt's number. After a crash at any point,
the same order posted again continues where it stopped.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.checkout.checkout import Checkout, load_offers
from mpanel_billing.checkout.existing import find_existing_customer
from mpanel_billing.checkout.ordered_domains import refuse_reserved, store_auth_codes
from mpanel_billing.checkout.orders import REPEATABLE_FOR, RecordedOrder, record_order
from mpanel_billing.checkout.payment_page import (
    PaymentPage,
    page_of,
    restored_page,
    stored_page,
)
from mpanel_billing.checkout.purchase import IdempotencyKey, Purchase
from mpanel_billing.checkout.repository import orders
from mpanel_billing.checkout.repository.orders import Attempt
from mpanel_billing.checkout.session_params import CatalogueNotPushedError
from mpanel_billing.checkout.tax_ids import REFUSED, tax_id_refused
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.errors import (
    BillingError,
    ConflictError,
    InvalidRequestError,
    StripeBrokeError,
    StripeBusyError,
    StripeError,
    StripeObjectMissingError,
    StripeUnavailableError,
)
from mpanel_billing.mirror.locks import lock
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


class CatalogueEditedError(ConflictError):
    """What is being ordered was edited since it was priced."""

    code = "catalogue_edited"


async def place_order(
    checkout: Checkout,
    read: Callable[[Catalogue], Awaitable[Purchase]],
    create: Callable[[Purchase], Awaitable[PaymentPage]],
    *,
    has_coupon: bool = False,
) -> PaymentPage:
    """Read a purchase, and create its session: `create` is `create_session`, or calls it.

    It is priced by the catalogue in memory, and if that has been edited since, by the database.
    With a coupon always by the database: time alone ends these.
    """
    try:
        return await create(await _priced(checkout, read, has_coupon=has_coupon))
    except CatalogueEditedError:
        return await create(await read(await load_offers(checkout)))


async def _priced(
    checkout: Checkout, read: Callable[[Catalogue], Awaitable[Purchase]], *, has_coupon: bool
) -> Purchase:
    """Price by memory, but not what that refuses."""
    if not has_coupon:
        with suppress(InvalidRequestError):
            return await read(await checkout.catalogue.get_catalogue())
    return await read(await load_offers(checkout))


async def create_session(
    checkout: Checkout, purchase: Purchase, key: IdempotencyKey | None = None
) -> PaymentPage:
    """Record the purchase and return its payment page.

    The same purchase again within minutes, or under the same key, gets the same page. Raises
    ConflictError if it contradicts another request or another customer has a domain of it,
    InvalidRequestError for a domain that nobody can order or a malformed tax id, StripeError if
    Stripe fails: then the same purchase can be posted again.
    """
    refuse_reserved(checkout.reserved, purchase.order.domains)
    recorded = await _record(checkout, purchase, key)
    if isinstance(recorded, PaymentPage):
        return recorded
    for session_id in recorded.superseded:
        await _close_session(checkout, session_id)
    attempt = recorded.attempt
    page = page_of(attempt)
    if page:
        await _store_response(checkout, page, key)
    else:
        page = await _open_session(checkout, purchase, attempt, key)
    logger.info(
        "order placed",
        extra={
            "subscriptionId": str(page.subscription_id),
            "attempt": attempt.attempt,
            "repeated": attempt.status == "open",
        },
    )
    return page


async def _record(
    checkout: Checkout, purchase: Purchase, key: IdempotencyKey | None
) -> RecordedOrder | PaymentPage:
    """Record the order; or return the payment page, if the key already has one."""
    try:
        async with transaction(checkout.mirror.pool) as conn:
            begun = await orders.begin_order(
                conn, purchase, key, livemode=checkout.mirror.livemode, within=REPEATABLE_FOR
            )
            if not begun.same_request:
                raise _key_reused()
            if begun.response is not None:
                return restored_page(begun.response)
            if not begun.on_sale:
                raise _catalogue_edited()
            recorded = await record_order(
                conn,
                purchase,
                checkout.terms,
                checkout.persons.of_address(purchase.buyer.email),
                begun,
                key=key.key if key else None,
                livemode=checkout.mirror.livemode,
            )
            await store_auth_codes(
                conn, checkout.auth_codes, purchase.order, recorded.attempt.subscription_id
            )
            return recorded
    except CatalogueNotPushedError as error:
        logger.error(  # noqa: TRY400 - the traceback does not help the operator
            "Stripe does not have %s: run `mpanel-billing catalog push`",
            error.missing,
        )
        raise


def _catalogue_edited() -> CatalogueEditedError:
    return CatalogueEditedError(
        "Our offers have just changed. Please look at your order again, and send it once more."
    )


def _key_reused() -> ConflictError:
    return ConflictError(
        "This Idempotency-Key belongs to another request.", code="idempotency_key_reused"
    )


async def _open_session(
    checkout: Checkout, purchase: Purchase, attempt: Attempt, key: IdempotencyKey | None
) -> PaymentPage:
    try:
        customer_id = await _ensure_stripe_customer(checkout, purchase, attempt)
        session = await create_checkout_session(
            checkout.mirror.stripe,
            {**attempt.params["session"], "customer": customer_id},
            f"checkout-session-{attempt.subscription_id}-{attempt.attempt}",
        )
    except StripeObjectMissingError as error:
        other = await _on_another_customer(checkout, purchase)
        if other is None:
            return await _recover(checkout, attempt, error, key)
        async with acquired(checkout.mirror.pool) as conn:
            await orders.fail_attempt(conn, attempt, str(error))
        return await create_session(checkout, other, key)
    except StripeError as error:
        return await _recover(checkout, attempt, error, key)
    page = PaymentPage(session.url, session.id, attempt.subscription_id)
    await _store_page(checkout, attempt, session, page, key)
    return page


async def _store_page(
    checkout: Checkout,
    attempt: Attempt,
    session: OpenedSession,
    page: PaymentPage,
    key: IdempotencyKey | None,
) -> None:
    """Store the session, and the page as the response for the client's key."""
    name = key.key if key else None
    async with acquired(checkout.mirror.pool) as conn:
        opened = await orders.open_attempt(conn, attempt, session, name, stored_page(page))
    if not opened:
        await _yield_to_other(checkout, attempt, session)
        await _store_response(checkout, page, key)


async def _store_response(
    checkout: Checkout, page: PaymentPage, key: IdempotencyKey | None
) -> None:
    """Store the page that another request has opened as the response for the client's key."""
    if key:
        async with acquired(checkout.mirror.pool) as conn:
            await orders.store_idempotent_response(conn, key.key, 200, stored_page(page))


async def _on_another_customer(checkout: Checkout, purchase: Purchase) -> Purchase | None:
    """Return the purchase on another Stripe customer, if Stripe does not have ours."""
    before = purchase.existing
    if before is None or before.stripe_customer_id is None:
        return None
    existing = await find_existing_customer(
        checkout.mirror, before.id, purchase.priced.currency, ask=True
    )
    if existing.stripe_customer_id == before.stripe_customer_id:
        return None  # something else is missing
    return replace(purchase, existing=existing)


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
    async with transaction(checkout.mirror.pool) as conn:
        if existing and purchase.buyer.tax_id:  # or the event that brings it misses whose it is
            await lock(conn, [("cus", customer_id)])
        await orders.store_stripe_customer(conn, attempt, customer_id, existing)
    return customer_id


async def _recover(
    checkout: Checkout, attempt: Attempt, error: StripeError, key: IdempotencyKey | None
) -> PaymentPage:
    """Make the order repeatable after a Stripe error, and raise an error for the buyer.

    If the outcome is unknown, the attempt stays as it is: its keys will show what happened. If
    another request has opened the session, or is about to, return that one's page.
    """
    logger.warning(
        "no payment page: %s",
        error,
        extra={"subscriptionId": str(attempt.subscription_id), "attempt": attempt.attempt},
    )
    with checkout.changes.watch(attempt.subscription_id, checkout.changes.mark()) as changed:
        if error.definite or isinstance(error, StripeBrokeError):
            async with acquired(checkout.mirror.pool) as conn:
                await orders.fail_attempt(conn, attempt, str(error))
        page = await _page_of_other_request(checkout, attempt)
        if page is None and isinstance(error, StripeBusyError):
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), MAX_WAIT_SECONDS)
            page = await _page_of_other_request(checkout, attempt)
    if page is None:
        raise _for_buyer(error) from error
    await _store_response(checkout, page, key)
    return page


async def _page_of_other_request(checkout: Checkout, attempt: Attempt) -> PaymentPage | None:
    async with acquired(checkout.mirror.pool) as conn:
        now = await orders.get_attempt(conn, attempt.subscription_id, attempt.attempt)
    return page_of(now) if now else None


def _for_buyer(error: StripeError) -> BillingError:
    if error.stripe_code == REFUSED:
        return tax_id_refused("customer.taxId")
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
        now = await orders.get_attempt(conn, attempt.subscription_id, attempt.attempt)
        if now and now.stripe_session_id == session.id and now.status != "failed":
            return
        await orders.note_superseded_session(conn, attempt, session)
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
