"""Sends webhooks: signed, in sequence per endpoint, retried until accepted."""

import asyncio
import hashlib
import heapq
import hmac
import itertools
import time
from contextlib import suppress

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic_core import to_json

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.journal import Change
from stripe_sandbox.outbox import DELIVERY, THIN, Endpoint, Outbox
from stripe_sandbox.shapes import as_sent
from stripe_sandbox.store import Store

ATTEMPT_TIMEOUT = ClientTimeout(total=20)
DEFAULT_RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds between attempts of one webhook; the last one repeats for three days."""

GIVE_UP_AFTER = 3 * 86_400
USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


def sign(payload: bytes, secret: str, at: int) -> str:
    """Return the `Stripe-Signature` header of a payload sent at a Unix time."""
    digest = hmac.new(secret.encode(), b"%d." % at + payload, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class _Queue:
    """An endpoint's pending deliveries: by due time, then by rank, then in order."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._owed: dict[str, int] = {}
        self._planned: dict[int, ReadOnly] = {}
        self._waiting: list[tuple[float, int]] = []
        self._ready: list[tuple[float, int]] = []

    def push(self, delivery: ReadOnly) -> None:
        """Queue the delivery for its due time."""
        number = next(self._numbers)
        self._owed[delivery["id"]] = number
        self._planned[number] = delivery
        heapq.heappush(self._waiting, (delivery["due"], number))

    def discard(self, delivery_id: str) -> None:
        """Drop the delivery."""
        number = self._owed.pop(delivery_id, None)
        if number is not None:
            del self._planned[number]

    def clear(self) -> None:
        """Drop all deliveries."""
        for part in (self._owed, self._planned, self._waiting, self._ready):
            part.clear()

    def owed(self) -> int:
        """Return how many deliveries are left, due or not."""
        return len(self._owed)

    def take(self, now: float) -> ReadOnly | None:
        """Return the next due delivery, if any; it stays queued until it is settled."""
        while self._waiting and self._waiting[0][0] <= now:
            _, number = heapq.heappop(self._waiting)
            if number in self._planned:
                heapq.heappush(self._ready, (self._planned[number]["rank"], number))
        while self._ready:
            _, number = heapq.heappop(self._ready)
            if number in self._planned:
                return self._planned[number]
        return None

    def next_due(self) -> float | None:
        """Return the Unix time at which the next delivery is due, if any."""
        return self._waiting[0][0] if self._waiting else None


class Dispatcher:
    """Sends the deliveries that the outbox plans.

    A failed delivery is retried after the next delay, without blocking those behind it.
    """

    def __init__(self, store: Store, outbox: Outbox, retry_delays: tuple[float, ...]) -> None:
        self._store = store
        self._outbox = outbox
        self._retry_delays = retry_delays
        self._queues: dict[str, _Queue] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._session: ClientSession | None = None
        store.subscribe(self._notice, self._begin)

    async def start(self) -> None:
        """Start sending, including what an earlier run left."""
        self._session = ClientSession(timeout=ATTEMPT_TIMEOUT)
        self._begin()

    async def stop(self) -> None:
        """Stop sending; unsent deliveries stay pending."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers)
        if self._session:
            await self._session.close()

    async def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing is pending, held deliveries aside; return whether in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def pending(self) -> int:
        """Return how many deliveries are left, held ones aside."""
        return sum(queue.owed() for queue in self._queues.values())

    def _begin(self) -> None:
        """Queue what is pending, and nothing else."""
        for queue in self._queues.values():
            queue.clear()
        self._idle.set()
        for delivery in self._store.where(DELIVERY, "state", "pending"):
            self._track(delivery["id"], delivery)

    def _notice(self, changes: list[Change]) -> None:
        if self._session is None:
            return
        for change in changes:
            if change.kind == DELIVERY:
                self._track(change.id, change.document)

    def _track(self, delivery_id: str, delivery: ReadOnly | None) -> None:
        for queue in self._queues.values():
            queue.discard(delivery_id)
        if delivery and delivery["state"] == "pending":
            self._enqueue(delivery)
        if self.pending():
            self._idle.clear()
        else:
            self._idle.set()

    def _enqueue(self, delivery: ReadOnly) -> None:
        endpoint_id = delivery["endpoint"]
        if endpoint_id not in self._workers:
            self._queues[endpoint_id] = _Queue()
            self._news[endpoint_id] = asyncio.Event()
            self._workers[endpoint_id] = asyncio.create_task(self._work(endpoint_id))
        self._queues[endpoint_id].push(delivery)
        self._news[endpoint_id].set()

    async def _work(self, endpoint_id: str) -> None:
        queue, news = self._queues[endpoint_id], self._news[endpoint_id]
        while True:
            news.clear()
            now = time.time()
            delivery = queue.take(now)
            if delivery:
                await self._send(delivery)
                continue
            due = queue.next_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else due - now):
                    await news.wait()

    async def _send(self, planned: ReadOnly) -> None:
        endpoint = self._outbox.endpoint(planned["endpoint"])
        event = self._store.get(THIN if endpoint and endpoint.thin else "event", planned["event"])
        if endpoint is None or event is None:
            self._settle(planned["id"], {"state": "given_up"})
            return
        attempt = await self._attempt(endpoint, event)
        delivery = self._store.get(DELIVERY, planned["id"])
        if delivery:
            self._settle(planned["id"], self._outcome(delivery, attempt))

    async def _attempt(self, endpoint: Endpoint, event: Document) -> Document:
        if endpoint.thin:
            del event["data"]
        payload = to_json(as_sent(event), indent=2, ensure_ascii=True)
        at = time.time()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(payload, endpoint.secret, int(at)),
            "User-Agent": USER_AGENT,
        }
        try:
            status = await self._post(endpoint.url, payload, headers)
        except (ClientError, TimeoutError, OSError) as error:
            return {"at": at, "status": None, "error": type(error).__name__}
        return {"at": at, "status": status, "error": None}

    async def _post(self, url: str, payload: bytes, headers: dict[str, str]) -> int:
        if self._session is None:
            raise RuntimeError("the dispatcher is not running")
        async with self._session.post(
            url, data=payload, headers=headers, allow_redirects=False
        ) as response:
            await response.read()
            return response.status

    def _outcome(self, delivery: Document, attempt: Document) -> Document:
        attempts = [*delivery["attempts"], attempt]
        if attempt["status"] in range(200, 300):
            copies = delivery["copies"] - 1
            state = "pending" if copies else "delivered"
            return {"attempts": attempts, "copies": copies, "state": state}
        failures = sum(one["status"] not in range(200, 300) for one in attempts)
        delay = self._retry_delays[min(failures, len(self._retry_delays)) - 1]
        due = time.time() + delay
        state = "given_up" if due - delivery["planned"] > GIVE_UP_AFTER else "pending"
        return {"attempts": attempts, "due": due, "state": state}

    def _settle(self, delivery_id: str, outcome: Document) -> None:
        delivery = self._store.get(DELIVERY, delivery_id)
        if delivery is None:
            return
        with self._store.transaction():
            self._store.put(DELIVERY, delivery | outcome)
            if outcome["state"] != "pending":
                self._count_down(delivery["event"])

    def _count_down(self, event_id: str) -> None:
        event = self._store.get("event", event_id)
        if event and event["pending_webhooks"]:
            event["pending_webhooks"] -= 1
            self._store.put("event", event)
