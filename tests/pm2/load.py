"""A client that keeps connections open and posts signed events over them, as fast as it can."""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from dataclasses import dataclass, field

PATH = "/api/webhooks/stripe"


@dataclass
class Load:
    """Posts to 127.0.0.1:`port` over `connections` connections for as long as the block runs.

    `accepted` holds the ids of the events answered with 200; `failures` whatever else happened.
    """

    port: int
    secret: str
    connections: int = 8
    accepted: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _clients: list["asyncio.Task[None]"] = field(default_factory=list)

    async def __aenter__(self) -> "Load":
        self._clients = [asyncio.create_task(self._post_on()) for _ in range(self.connections)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._clients)

    async def _post_on(self) -> None:
        while not self._stop.is_set():
            try:
                await self._post_over_one_connection()
            except (OSError, EOFError) as error:
                self.failures.append(repr(error))

    async def _post_over_one_connection(self) -> None:
        """Post until the server says that the connection ends, as HTTP/1.1 has it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            ends = False
            while not ends and not self._stop.is_set():
                event_id = f"evt_load{next(self._numbers)}"
                writer.write(self._request(event_id))
                status, ends = await read_answer(reader)
                if status == 200:
                    self.accepted.append(event_id)
                else:
                    self.failures.append(f"{event_id}: {status}")
        finally:
            writer.close()

    def _request(self, event_id: str) -> bytes:
        body = json.dumps(make_event(event_id)).encode()
        moment = str(int(time.time()))
        signed = hmac.new(self.secret.encode(), f"{moment}.".encode() + body, hashlib.sha256)
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Stripe-Signature: t={moment},v1={signed.hexdigest()}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def make_event(event_id: str) -> dict[str, object]:
    """An event of a type that is stored and has no effect."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "data": {"object": {"id": "plan_load", "object": "plan"}},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "plan.created",
    }


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one answer: its status, and whether the connection ends with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status_line, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    await reader.readexactly(int(headers["content-length"]))
    return int(status_line.split()[1]), headers.get("connection") == "close"
