"""Sends usage to Stripe: what one customer used of one meter in order, different ones at once.

An event is sent at least once, and counted once, because Stripe knows its identifier for a day. If
nobody knows after 23 hours whether Stripe has one, it is asked what that minute adds up to.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from mpanel_billing.database.pool import CONNECTION_ERRORS, Pool, acquired, transaction
from mpanel_billing.errors import DatabaseUnavailableError, StripeError, StripeUnavailableError
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.meter_events import MeterEvent, create_meter_event
from mpanel_billing.telemetry.counters import count_meter_event
from mpanel_billing.usage import repository
from mpanel_billing.usage.reports import read_reports
from mpanel_billing.usage.repository import Claimed

logger = logging.getLogger(__name__)

CHANNEL = "billing_usage"
"""Notified when there is usage to send; the payload is empty."""

_AT_ONCE = 10
"""Customers and meters of whom one process sends at the same time."""

_LONGEST_PAUSE = 60.0
_AFTER_ERROR = 2.0
_KEY_REFUSED = "stripe_key_refused"
_NOT_YET = "timestamp_in_future"
"""Stripe's code if its clock is behind ours."""

_MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class UsageSender:
    """Sends what waits; `pace` keeps within Stripe's limit for the account."""

    pool: Pool
    gateway: StripeGateway
    pace: Pace
    livemode: bool

    async def run(self, woken: asyncio.Event) -> None:
        """Send until cancelled: when woken, and whenever something is due.

        After an error that nothing expects it starts again: its rows are as they were.
        """
        while True:
            try:
                await self._run(woken)
            except (DatabaseUnavailableError, *CONNECTION_ERRORS):
                logger.warning("usage waits: the database is unavailable")
            except Exception:
                logger.exception("sending usage failed; it starts again")
            await asyncio.sleep(_AFTER_ERROR)

    async def _run(self, woken: asyncio.Event) -> None:
        while True:
            woken.clear()
            await self.send_due()
            await read_reports(self.pool, self.gateway, livemode=self.livemode)
            async with acquired(self.pool) as conn:
                due = await repository.seconds_to_next(conn)
            try:
                async with asyncio.timeout(min(due or _LONGEST_PAUSE, _LONGEST_PAUSE)):
                    await woken.wait()
            except TimeoutError:
                continue

    async def send_due(self) -> int:
        """Send until nothing is due; return how many events were dealt with."""
        done = 0
        while True:
            async with transaction(self.pool) as conn:
                heads = await repository.claim_heads(conn, _AT_ONCE, livemode=self.livemode)
            if not heads:
                return done
            async with asyncio.TaskGroup() as lanes:
                running = [lanes.create_task(self._send_lane(head)) for head in heads]
            done += sum(lane.result() for lane in running)

    async def _send_lane(self, head: UUID) -> int:
        """Send the claimed event and those that follow it, one after the other."""
        done, following = 0, await self._send(head)
        while following is not None:
            done, following = done + 1, await self._send(following)
        return done + 1

    async def _send(self, event_id: UUID) -> UUID | None:
        """Send one event; return the next one, which is claimed then, unless it has to wait."""
        async with acquired(self.pool) as conn:
            event = await repository.get_claimed(conn, event_id)
        if event is None:
            return None
        if event.is_late and not event.was_tried:
            logger.warning("usage came after its invoice", extra={"objectId": str(event.id)})
            return await self._finish(event, "late")
        try:
            return await self._report(event)
        except StripeUnavailableError as error:
            await self._retry(event, error)
        except StripeError as error:
            if error.code == _KEY_REFUSED or error.stripe_code == _NOT_YET:
                await self._retry(event, error)
                return None
            logger.warning("Stripe refuses usage: %s", error, extra={"objectId": str(event.id)})
            return await self._finish(event, "refused", error=str(error))
        return None

    async def _report(self, event: Claimed) -> UUID | None:
        if event.doubtful or event.is_late:
            return await self._settle(event)
        await self.pace.turn()
        named = event.meter, event.stripe_customer_id
        told = MeterEvent(*named, event.value, event.used_at, identifier=str(event.id))
        taken = await create_meter_event(self.gateway, told)
        return await self._finish(event, "sent", sent_at=taken or datetime.now(UTC))

    async def _settle(self, event: Claimed) -> UUID | None:
        """Ask Stripe whether it has an event, if sending it again does not tell.

        Its identifier may be forgotten there, or its invoice is final. What Stripe adds up to in
        the event's minute is compared with what was sent beside it. If the latest value counts,
        sending it twice makes no difference.
        """
        since = event.used_at.replace(second=0, microsecond=0)
        until = since + _MINUTE
        async with acquired(self.pool) as conn:
            beside = await repository.get_sent_sum(conn, event.id, since, until)
        await self.pace.turn()
        named = event.stripe_meter_id or "", event.stripe_customer_id
        found = await self.gateway.get_usage(*named, since, until)
        whole = beside + event.value if event.aggregation == "sum" else event.value
        if found == whole:
            return await self._finish(event, "sent", sent_at=datetime.now(UTC))
        if event.aggregation == "sum" and found != beside:
            error = f"Stripe has {found} in its minute, and was sent {beside} beside it"
            return await self._finish(event, "refused", error=error)
        if event.is_late:
            return await self._finish(event, "late")
        async with acquired(self.pool) as conn:
            await repository.note_missing(conn, event.id)
        return event.id

    async def _finish(
        self,
        event: Claimed,
        state: Literal["sent", "late", "refused"],
        *,
        sent_at: datetime | None = None,
        error: str | None = None,
    ) -> UUID | None:
        async with transaction(self.pool) as conn:
            following = await repository.finish_event(
                conn, event.id, state, sent_at=sent_at, error=error
            )
        count_meter_event(state)
        return following

    async def _retry(self, event: Claimed, error: StripeError) -> None:
        fields = {"objectId": str(event.id)}
        logger.warning("usage is tried again later: %s", error, extra=fields)
        seconds = retry_seconds(event.failures + 1, error.retry_after)
        async with acquired(self.pool) as conn:
            await repository.retry_event(conn, event.id, str(error), seconds)
        count_meter_event("retried")
