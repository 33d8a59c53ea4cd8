"""The mirror: our rows of Stripe's objects, brought up to date by snapshots or by asking Stripe."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    DatabaseUnavailableError,
    StripeError,
    StripeObjectMissingError,
    StripeObjectUnreadableError,
)
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.queue import enqueue_refetch_retry, enqueue_refetches
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.mirrored_type import Row
from mpanel_billing.mirror.ordering import Version
from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.mirror.rows import stored_version
from mpanel_billing.mirror.service import APPLIED, UNDECIDED, Outcome, apply_snapshots
from mpanel_billing.mirror.snapshot import Snapshot, snapshot_of_answer
from mpanel_billing.mirror.types import MIRRORED_BY_NAME
from mpanel_billing.stripe_gateway.objects import Fetched
from mpanel_billing.telemetry.quoting import quote, sentence_of

if TYPE_CHECKING:  # loading the SDK takes longer than most commands
    from mpanel_billing.stripe_gateway.gateway import StripeGateway

logger = logging.getLogger(__name__)

LEASE_SECONDS = 120.0
"""Longer than a call to Stripe usually takes; two processes asking at once do no harm (rule 4)."""

_DEADLOCK_RETRIES = 3
_MOST_FETCHES = 3
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mirror:
    """The rows in `pool` that mirror one account and mode of `stripe` (rule 14).

    A `silent` one tells mPanel nothing of what it fetches and applies: that may be long over.
    """

    pool: Pool
    stripe: "StripeGateway"
    livemode: bool
    silent: bool = False

    async def apply(self, snapshots: Sequence[Snapshot]) -> Mapping[str, Outcome]:
        """Do as `apply_snapshots`, in a transaction of its own; after a deadlock, try again.

        Webhooks of the same change arrive at the same instant.
        """
        for _ in range(_DEADLOCK_RETRIES):
            with suppress(asyncpg.DeadlockDetectedError):
                return await self._apply_once(snapshots)
        return await self._apply_once(snapshots)

    async def _apply_once(self, snapshots: Sequence[Snapshot]) -> Mapping[str, Outcome]:
        async with transaction(self.pool) as conn:
            if self.silent:
                await repository.silence_messages(conn)
            return await apply_snapshots(conn, snapshots)

    async def refresh(self, object_type: str, object_id: str) -> Mapping[str, Any]:
        """Fetch an object from Stripe, apply it, and return it.

        StripeObjectUnreadableError if it cannot be read; it is then kept as a failed refetch.
        """
        try:
            return await self._refresh(object_type, object_id)
        except UnreadableObjectError as error:
            await self.keep_unreadable(object_type, {object_id: error})
            raise StripeObjectUnreadableError(
                f"Stripe's object {object_id} cannot be read: {error}."
            ) from error

    async def _refresh(self, object_type: str, object_id: str) -> Mapping[str, Any]:
        """Fetch an object and apply it; again if an event of the same second came in between."""
        for _ in range(_MOST_FETCHES - 1):
            stripe_object, outcome = await self._refresh_once(object_type, object_id)
            if outcome is not UNDECIDED:
                return stripe_object
        stripe_object, _ = await self._refresh_once(object_type, object_id)
        return stripe_object

    async def _refresh_once(
        self, object_type: str, object_id: str
    ) -> tuple[Mapping[str, Any], Outcome | None]:
        """Fetch an object and apply it; return it with what became of it.

        The stored version is noted before the request leaves: whatever Stripe returns is at least
        as new, whatever the clocks say.
        """
        mirrored = MIRRORED_BY_NAME[object_type]
        stored = await self._stored(object_type, object_id)
        read_after = stored.key if stored else None
        fetched = await self.stripe.fetch(mirrored.resource, object_id)
        stripe_object = await self.complete(fetched.stripe_object)
        outcomes = await self.apply([self._snapshot(stripe_object, fetched, read_after)])
        if contained := mirrored.contained(stripe_object):
            await self.apply([self._snapshot(each, fetched, None) for each in contained])
        return stripe_object, outcomes.get(object_id)

    async def refresh_or_bury(self, object_type: str, object_id: str) -> Mapping[str, Any] | None:
        """Refresh an object and return it, or apply its deletion if Stripe does not have it.

        The row of one that is never deleted stays; StripeObjectMissingError without a row.
        """
        try:
            return await self.refresh(object_type, object_id)
        except StripeObjectMissingError:
            async with acquired(self.pool) as conn:
                rows = await repository.list_compared(conn, object_type, [object_id])
            if object_id not in rows:
                raise
            await self.bury(object_type, rows[object_id])
            return None

    async def bury(self, object_type: str, row: Row) -> bool:
        """Apply the deletion of an object that Stripe does not have; False if the row stays.

        `row` is one of `list_compared`.
        """
        comparison = MIRRORED_BY_NAME[object_type].comparison
        buried = comparison.buried(row) if comparison else None
        if buried is None:
            return False
        snapshot = snapshot_of_answer(
            buried,
            since=row["as_of"],
            as_of=row["as_of"],
            livemode=self.livemode,
            read_after=(row["as_of"], row["event_id"]),
        )
        outcomes = await self.apply([snapshot])
        return outcomes[snapshot.object_id].status == APPLIED.status

    async def _stored(self, object_type: str, object_id: str) -> Version | None:
        """Return the stored version of an object."""
        question = repository.StoredLookup(object_id, since=_NEVER)
        async with acquired(self.pool) as conn:
            rows = await repository.list_stored(conn, object_type, [question])
        return stored_version(object_type, rows.get(object_id))

    def _snapshot(
        self,
        stripe_object: Mapping[str, Any],
        fetched: Fetched,
        read_after: tuple[datetime, str | None] | None,
    ) -> Snapshot:
        return snapshot_of_answer(
            stripe_object,
            since=fetched.since,
            as_of=fetched.as_of,
            livemode=self.livemode,
            read_after=read_after,
        )

    async def complete(self, stripe_object: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an object of Stripe's with what its response left out."""
        mirrored = MIRRORED_BY_NAME.get(stripe_object.get("object") or "")
        if mirrored is None or mirrored.complete is None:
            return stripe_object
        return await mirrored.complete(self.stripe, stripe_object)

    async def refetch(self, object_id: str) -> None:
        """Fulfil the refetch request for an object, and any newer one made during it.

        Does nothing while another process is doing it. If Stripe cannot be asked, or its object
        cannot be read or written, the request is kept with the error and tried again later.
        """
        while request := await self._lease(object_id):
            try:
                if await self._is_open(request, object_id):
                    await self._refresh(request["object_type"], object_id)
            except StripeObjectMissingError:
                logger.warning("Stripe has no such object", extra={"objectId": object_id})
            except DatabaseUnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 - rule 6: the request stays, with its error
                await self._postpone(object_id, request, error)
                return
            async with acquired(self.pool) as conn:
                if await repository.clear_refetch(conn, object_id, request["version"]) is None:
                    return

    async def _is_open(self, request: asyncpg.Record, object_id: str) -> bool:
        """Whether a request still has to be asked: a row of a later second has settled a tie."""
        if request["tied_at"] is None:
            return True
        stored = await self._stored(request["object_type"], object_id)
        return stored is None or stored.since <= request["tied_at"]

    async def keep_unreadable(
        self, object_type: str, errors: Mapping[str, UnreadableObjectError]
    ) -> None:
        """Keep objects that Stripe returned and that cannot be read as failed refetches, by id."""
        failed = [
            {"object_type": object_type, "object_id": id_, "error": _describe(error)}
            for id_, error in errors.items()
        ]
        delay = retry_seconds(attempts=1)
        async with acquired(self.pool) as conn:
            await repository.keep_failed_refetches(conn, failed, delay)

    async def _lease(self, object_id: str) -> asyncpg.Record | None:
        async with acquired(self.pool) as conn:
            return await repository.lease_refetch(conn, object_id, LEASE_SECONDS)

    async def _postpone(self, object_id: str, request: asyncpg.Record, error: Exception) -> None:
        """Schedule the next try to the second; if that job is lost, the sweep finds the request."""
        if not isinstance(error, StripeError):
            logger.error("object not refetched", extra={"objectId": object_id}, exc_info=error)
        attempts = request["attempts"] + 1
        delay = retry_seconds(attempts, getattr(error, "retry_after", None))
        async with transaction(self.pool) as conn:
            await repository.postpone_refetch(conn, object_id, _describe(error), delay)
            await enqueue_refetch_retry(conn, object_id, request["version"], attempts, delay)


def _describe(error: Exception) -> str:
    if isinstance(error, StripeError):
        return sentence_of(error)
    if isinstance(error, UnreadableObjectError):
        return quote(f"Stripe's object cannot be read: {error}")
    return f"Stripe's object cannot be written: {sentence_of(error)}"


async def request_refetch(conn: Connection, object_type: str, object_id: str, reason: str) -> None:
    """Have a job refresh an object once the caller's transaction is committed."""
    request = {"object_type": object_type, "object_id": object_id, "reason": reason}
    await enqueue_refetches(conn, await repository.request_refetches(conn, [request]))
