"""Notifications of changed subscriptions: one LISTEN connection per process."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from mpanel_billing.database import repository
from mpanel_billing.database.connecting import CONNECT_TIMEOUT_SECONDS, connect
from mpanel_billing.database.pool import CONNECTION_ERRORS
from mpanel_billing.database.queries import Connection

logger = logging.getLogger(__name__)

CHANNEL = "billing_subscription"
"""The payload is the id of the changed subscription."""

RECONNECT_SECONDS = 1.0
HEARTBEAT_SECONDS = 30.0
"""How long a dead connection may go unnoticed."""


class SubscriptionChanges:
    """Wakes the watchers of a subscription when a transaction that changed it commits."""

    def __init__(self, database_url: str) -> None:
        """Keep the URL; `listen` connects."""
        self._url = database_url
        self._watchers: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def watch(self, subscription_id: UUID) -> Iterator[asyncio.Event]:
        """Yield an event that is set by each change of the subscription.

        Read the subscription after entering, or a change in between is missed. The event is
        also set when changes may have been missed, because the connection was lost.
        """
        event = asyncio.Event()
        watchers = self._watchers[subscription_id]
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop(subscription_id, None)

    async def listen(self) -> None:
        """Listen until cancelled, with a new connection whenever the old one is lost."""
        warned = False
        while True:
            try:
                await self._listen_once()
                warned = False
            except CONNECTION_ERRORS as error:
                level = logging.DEBUG if warned else logging.ERROR
                reason = error or type(error).__name__
                logger.log(level, "the database is unavailable: %s; retrying", reason)
                warned = True
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        conn = await connect(
            self._url,
            command_timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": "mpanel-billing listener"},
        )
        lost = asyncio.Event()
        conn.add_termination_listener(lambda _: lost.set())
        try:
            await conn.add_listener(CHANNEL, self._wake)
            self._wake_all()
            await _keep_alive(conn, lost)
        finally:
            conn.terminate()

    def _wake(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            subscription_id = UUID(str(payload))
        except ValueError:
            logger.warning("%s carried %r, which is not an id", CHANNEL, payload)
            return
        for event in self._watchers.get(subscription_id, ()):
            event.set()

    def _wake_all(self) -> None:
        for watchers in self._watchers.values():
            for event in watchers:
                event.set()


async def _keep_alive(conn: Connection, lost: asyncio.Event) -> None:
    """Return when the connection is lost; pings it regularly."""
    while not lost.is_set():
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await lost.wait()
        except TimeoutError:
            await repository.ping(conn)
