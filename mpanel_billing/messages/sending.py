"""Sends messages to their receivers, at least once each."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

import aiohttp
import asyncpg

from mpanel_billing.database.pool import CONNECTION_ERRORS, Pool, acquired, encode_json, transaction
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.messages import repository
from mpanel_billing.messages.attempts import GIVE_UP_AFTER, Response, delay_after
from mpanel_billing.messages.payload import payload_of
from mpanel_billing.messages.signing import sign
from mpanel_billing.telemetry.quoting import quote

logger = logging.getLogger(__name__)

CHANNEL = "billing_messages"
"""Notified when messages are recorded, or deliveries requested; the payload is empty."""

_TIMEOUT = aiohttp.ClientTimeout(total=15)
_LEASE_SECONDS = 60.0
"""How long a claimed delivery belongs to a process: longer than its attempt and its record."""

_AT_ONCE = 10
"""Attempts that a receiver gets at the same time."""
_ADDRESSED_AT_ONCE = 500
_LONGEST_PAUSE = 60.0
_AFTER_ERROR = 2.0
_QUOTED = 200
_READ_BYTES = 4096


@dataclass(slots=True)
class Sender:
    """Sends what is due. `links` are addresses in mPanel (payload_of)."""

    pool: Pool
    session: aiohttp.ClientSession
    links: Mapping[str, str]

    async def run(self, woken: asyncio.Event) -> None:
        """Send until cancelled: when woken, and whenever something is due.

        After an error that nothing expects it starts again: its rows are as they were.
        """
        while True:
            try:
                await self._run(woken)
            except Exception:
                logger.exception("sending messages failed; it starts again")
            await asyncio.sleep(_AFTER_ERROR)

    async def _run(self, woken: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            serving: dict[UUID, asyncio.Task[None]] = {}
            while True:
                woken.clear()
                pause = await self._start_due(tasks, serving, woken)
                try:
                    async with asyncio.timeout(pause):
                        await woken.wait()
                except TimeoutError:
                    continue

    async def _start_due(
        self,
        tasks: asyncio.TaskGroup,
        serving: dict[UUID, asyncio.Task[None]],
        woken: asyncio.Event,
    ) -> float:
        """Serve each receiver that has something due, apart from the others.

        Return how many seconds later to look again.
        """
        try:
            due = await self.address()
        except (DatabaseUnavailableError, *CONNECTION_ERRORS):
            logger.warning("messages wait: the database is unavailable")
            return _AFTER_ERROR
        for receiver_id, seconds in due.items():
            running = serving.get(receiver_id)
            if seconds <= 0 and (running is None or running.done()):
                serving[receiver_id] = tasks.create_task(self._serve(receiver_id, woken))
        later = [seconds for seconds in due.values() if seconds > 0]
        return min([*later, _LONGEST_PAUSE])

    async def address(self) -> dict[UUID, float]:
        """Address new messages; return in how many seconds each receiver has something due."""
        while True:
            async with transaction(self.pool) as conn:
                addressed = await repository.address_messages(conn, _ADDRESSED_AT_ONCE)
            if addressed < _ADDRESSED_AT_ONCE:
                break
        async with acquired(self.pool) as conn:
            return await repository.list_due_receivers(conn)

    async def _serve(self, receiver_id: UUID, woken: asyncio.Event) -> None:
        """Send while something is due; what came in the meantime is looked for once more."""
        sent = 0
        try:
            while count := await self.send_due(receiver_id):
                sent += count
        except (DatabaseUnavailableError, *CONNECTION_ERRORS):
            logger.warning("deliveries wait: the database is unavailable")
            return
        if sent:
            woken.set()

    async def send_due(self, receiver_id: UUID) -> int:
        """Make one attempt for each delivery that is due, and return how many there were."""
        async with transaction(self.pool) as conn:
            claimed = await repository.claim_deliveries(conn, receiver_id, _AT_ONCE, _LEASE_SECONDS)
        async with asyncio.TaskGroup() as attempts:
            for row in claimed:
                attempts.create_task(self._deliver(receiver_id, row))
        return len(claimed)

    async def _deliver(self, receiver_id: UUID, row: asyncpg.Record) -> None:
        response = await self._attempt(row)
        fields = {"messageId": row["id"], "receiver": row["receiver"], "status": response.status}
        if response.error is None:
            logger.info("%s delivered", row["type"], extra=fields)
            async with acquired(self.pool) as conn:
                await repository.note_delivered(conn, receiver_id, row["id"], response.status)
            return
        logger.warning("%s not delivered: %s", row["type"], response.error, extra=fields)
        await self._note_failed(receiver_id, row, response)

    async def _note_failed(
        self, receiver_id: UUID, row: asyncpg.Record, response: Response
    ) -> None:
        delay = None if response.is_gone else delay_after(row["attempts"], response.retry_after)
        seconds = None if delay is None else delay.total_seconds()
        async with transaction(self.pool) as conn:
            since = await repository.note_failed(conn, receiver_id, row["id"], response, seconds)
            if since is None or delay is not None:
                return
            if response.is_gone or datetime.now(UTC) - since >= GIVE_UP_AFTER:
                reason = f"failing since {since:%Y-%m-%d %H:%M} UTC: {response.error}"
                await repository.disable_receiver(conn, row["receiver"], reason, by_operator=False)
                logger.error("receiver disabled: %s", reason, extra={"receiver": row["receiver"]})

    async def _attempt(self, row: asyncpg.Record) -> Response:
        """Send one message; one that cannot be made is a failure like any other."""
        try:
            return await self._post(row)
        except Exception as error:
            logger.exception("%s cannot be sent", row["type"], extra={"messageId": row["id"]})
            return Response(None, type(error).__name__)

    async def _post(self, row: asyncpg.Record) -> Response:
        """Send one message, signed at this moment."""
        body = encode_json(payload_of(row, self.links))
        keys = [key for key in (row["secret"], row["former_secret"]) if key]
        headers = {
            **sign(row["id"], datetime.now(UTC), body, keys),
            "Content-Type": "application/json",
        }
        try:
            async with self.session.post(
                row["url"],
                data=body.encode(),
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                return await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Response(None, quote(str(error) or type(error).__name__, _QUOTED))


async def _read(response: aiohttp.ClientResponse) -> Response:
    """Any 2xx is an acceptance; everything else is a failure, redirects too."""
    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        return Response(response.status, None)
    said = (await response.content.read(_READ_BYTES)).decode(errors="replace").strip()
    error = f"HTTP {response.status}{': ' if said else ''}{quote(said, _QUOTED)}"
    return Response(response.status, error, _seconds(response.headers.get("Retry-After")))


def _seconds(text: str | None) -> float | None:
    """Return the seconds of Retry-After; a date is not understood."""
    return float(text) if text and text.isdecimal() else None


@asynccontextmanager
async def open_sender(pool: Pool, links: Mapping[str, str]) -> AsyncIterator[Sender]:
    """Open the connections to receivers; cookies of theirs are not kept."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Sender(pool, session, links)
