"""Notifications of what changes in the database: one LISTEN connection per process."""

import asyncio
import itertools
import logging
import sys
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from mpanel_billing.database import repository
from mpanel_billing.database.connecting import CONNECT_TIMEOUT_SECONDS, connect
from mpanel_billing.database.pool import CONNECTION_ERRORS
from mpanel_billing.database.queries import Connection

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0
HEARTBEAT_SECONDS = 5.0
"""How long a dead connection may go unnoticed."""

_REMEMBERED = 1000
"""Notifications; more than arrive while one statement is waited for."""
_NOT_LISTENING = sys.maxsize
"""Later than every mark."""


class Listener(Protocol):
    """What is told of the notifications of one channel."""

    channel: str

    def begin(self) -> None:
        """Handle that the process listens from now on: it may have missed what was before."""

    def hear(self, payload: str) -> None:
        """Handle a notification."""

    def end(self) -> None:
        """Handle that the connection is lost: until `begin`, notifications are missed."""


class SubscriptionChanges:
    """Wakes the watchers of a subscription when a transaction that changed it commits."""

    channel = "billing_subscription"
    """The payload is the id of the changed subscription."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watchers: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._heard: deque[UUID] = deque(maxlen=_REMEMBERED)
        self._count = 0
        self._missed_until = _NOT_LISTENING

    def mark(self) -> int:
        """Return a mark of this moment, for `watch`."""
        return self._count

    @contextmanager
    def watch(self, subscription_id: UUID, since: int) -> Iterator[asyncio.Event]:
        """Yield an event that is set by each change of the subscription since a mark.

        Take the mark, read the subscription, and then enter: no change is missed. The event is
        also set when changes may have been missed, because the connection was lost.
        """
        event = asyncio.Event()
        if self._may_have_changed(subscription_id, since):
            event.set()
        watchers = self._watchers[subscription_id]
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop(subscription_id, None)

    def _may_have_changed(self, subscription_id: UUID, since: int) -> bool:
        newer = self._count - since
        if since < self._missed_until or newer > len(self._heard):
            return True
        return subscription_id in itertools.islice(reversed(self._heard), newer)

    def begin(self) -> None:
        """Wake everyone: their subscriptions may have changed meanwhile."""
        self._count += 1
        self._heard.clear()
        self._missed_until = self._count
        for watchers in self._watchers.values():
            for event in watchers:
                event.set()

    def hear(self, payload: str) -> None:
        """Wake who watches the subscription."""
        try:
            subscription_id = UUID(payload)
        except ValueError:
            logger.warning("%s carried %r, which is not an id", self.channel, payload)
            return
        self._count += 1
        self._heard.append(subscription_id)
        for event in self._watchers.get(subscription_id, ()):
            event.set()

    def end(self) -> None:
        """Trust no mark: watchers are woken when the process listens again."""
        self._missed_until = _NOT_LISTENING


async def listen(database_url: str, listeners: Sequence[Listener]) -> None:
    """Listen until cancelled, with a new connection whenever the old one is lost."""
    warned = False
    while True:
        try:
            await _listen_once(database_url, listeners)
            warned = False
        except CONNECTION_ERRORS as error:
            level = logging.DEBUG if warned else logging.ERROR
            reason = error or type(error).__name__
            logger.log(level, "the database is unavailable: %s; retrying", reason)
            warned = True
        await asyncio.sleep(RECONNECT_SECONDS)


async def _listen_once(database_url: str, listeners: Sequence[Listener]) -> None:
    conn = await connect(
        database_url,
        command_timeout=CONNECT_TIMEOUT_SECONDS,
        server_settings={"application_name": "mpanel-billing listener"},
    )
    lost = asyncio.Event()
    conn.add_termination_listener(lambda _: lost.set())
    try:
        for listener in listeners:
            await conn.add_listener(listener.channel, _passing_on(listener))
        for listener in listeners:
            listener.begin()
        await _keep_alive(conn, lost)
    finally:
        for listener in listeners:
            listener.end()
        conn.terminate()


class _PassingOn(Protocol):
    """What asyncpg calls with each notification."""

    def __call__(self, conn: object, pid: int, channel: str, payload: object) -> None: ...


def _passing_on(listener: Listener) -> _PassingOn:
    def hear(conn: object, pid: int, channel: str, payload: object) -> None:
        listener.hear(str(payload))

    return hear


async def _keep_alive(conn: Connection, lost: asyncio.Event) -> None:
    """Return when the connection is lost; pings it regularly."""
    while not lost.is_set():
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await lost.wait()
        except TimeoutError:
            await repository.ping(conn)
