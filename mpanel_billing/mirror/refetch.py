"""Ask Stripe for an object's latest state, where events alone do not tell it."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import asyncpg

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import StripeError, StripeObjectMissingError
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.queue import enqueue_refetch_retry, enqueue_refetches
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.normalise import invoice_payments_of
from mpanel_billing.mirror.reading import Fields, UnreadableObjectError
from mpanel_billing.mirror.rows import stored_version
from mpanel_billing.mirror.service import apply_in_transaction
from mpanel_billing.mirror.snapshot import snapshot_of_answer
from mpanel_billing.stripe_gateway.gateway import Fetched

logger = logging.getLogger(__name__)

LEASE_SECONDS = 120.0
"""Longer than a call to Stripe takes, as a rule; two that ask at once do no harm (rule 4)."""

_NEVER = datetime.max.replace(tzinfo=UTC)


class Stripe(Protocol):
    """What this module asks of Stripe."""

    async def fetch(self, object_type: str, object_id: str) -> Fetched:
        """Return the object as it is now."""
        ...

    async def list_subscription_items(self, subscription_id: str) -> list[Mapping[str, Any]]:
        """Return all items of a subscription."""
        ...


async def refetch(pool: Pool, stripe: Stripe, object_id: str, *, livemode: bool) -> None:
    """Fulfil the wish in stripe_refetches for one object, until no newer wish is left.

    Does nothing while somebody else does it. When Stripe cannot be asked, the wish is kept with
    the reason and tried again later.
    """
    while wish := await _lease(pool, object_id):
        try:
            await fetch_and_apply(pool, stripe, wish["object_type"], object_id, livemode=livemode)
        except StripeObjectMissingError:
            logger.warning("Stripe has no such object", extra={"objectId": object_id})
        except (StripeError, UnreadableObjectError) as error:
            await _postpone(pool, object_id, wish, error)
            return
        async with acquired(pool) as conn:
            if await repository.clear_refetch(conn, object_id, wish["version"]) is None:
                return


async def fetch_and_apply(
    pool: Pool, stripe: Stripe, object_type: str, object_id: str, *, livemode: bool
) -> Mapping[str, Any]:
    """Ask Stripe for an object, apply its answer, and return it.

    What was stored before the question is noted, because whatever Stripe answers is at least as
    new as that, whatever the clocks say.
    """
    async with acquired(pool) as conn:
        read_after = await _stored_key(conn, object_type, object_id)
    fetched = await stripe.fetch(object_type, object_id)
    stripe_object = await with_all_items(stripe, fetched.stripe_object)
    snapshot = snapshot_of_answer(
        stripe_object,
        since=fetched.since,
        as_of=fetched.as_of,
        livemode=livemode,
        read_after=read_after,
    )
    await apply_in_transaction(pool, [snapshot])
    await _apply_payments(pool, fetched, livemode=livemode)
    return stripe_object


async def wish_to_fetch(conn: Connection, object_type: str, object_id: str, reason: str) -> None:
    """Have a job fetch an object, with the caller's transaction."""
    wish = {"object_type": object_type, "object_id": object_id, "reason": reason}
    await enqueue_refetches(conn, await repository.request_refetches(conn, [wish]))


async def _apply_payments(pool: Pool, fetched: Fetched, *, livemode: bool) -> None:
    """Apply the payments that a fetched invoice carries."""
    payments = [
        snapshot_of_answer(
            payment,
            since=fetched.since,
            as_of=fetched.as_of,
            livemode=livemode,
            read_after=None,
        )
        for payment in invoice_payments_of(fetched.stripe_object)
    ]
    if payments:
        await apply_in_transaction(pool, payments)


async def with_all_items(stripe: Stripe, stripe_object: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object; a subscription of more than ten items with all of them."""
    items = Fields(stripe_object).child("items")
    if stripe_object.get("object") != "subscription" or not items.flag("has_more"):
        return stripe_object
    complete = await stripe.list_subscription_items(stripe_object["id"])
    return {**stripe_object, "items": {**items.values, "data": complete, "has_more": False}}


async def _stored_key(
    conn: Connection, object_type: str, object_id: str
) -> tuple[datetime, str | None] | None:
    question = repository.Question(object_id, since=_NEVER)
    rows = await repository.list_stored(conn, object_type, [question])
    stored = stored_version(object_type, rows.get(object_id))
    return stored.key if stored else None


async def _lease(pool: Pool, object_id: str) -> asyncpg.Record | None:
    async with acquired(pool) as conn:
        return await repository.lease_refetch(conn, object_id, LEASE_SECONDS)


async def _postpone(
    pool: Pool, object_id: str, wish: asyncpg.Record, error: StripeError | UnreadableObjectError
) -> None:
    """Try again to the second; should that trigger get lost, the sweep finds the wish."""
    attempts = wish["attempts"] + 1
    delay = retry_seconds(attempts, getattr(error, "retry_after", None))
    async with transaction(pool) as conn:
        await repository.postpone_refetch(conn, object_id, str(error), delay)
        await enqueue_refetch_retry(conn, object_id, wish["version"], attempts, delay)
