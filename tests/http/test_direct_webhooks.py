"""Webhooks that their connection receives itself, over a raw socket: as any other, but cheaper."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from mpanel_billing.database.pool import Pool
from mpanel_billing.http import keys
from mpanel_billing.http.connections import DIRECT, Runner
from mpanel_billing.http.server import SHUTDOWN
from mpanel_billing.telemetry.counters import HTTP_REQUESTS, WEBHOOK_EVENTS, WEBHOOKS_REFUSED
from tests import stripe_objects as made
from tests.service import WEBHOOK_SECRET, make_app, make_settings
from tests.waiting import until_true

PATH = "/api/webhooks/stripe"
GET = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class Socket(NamedTuple):
    """A client's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *requests: bytes) -> None:
        """Send requests in one piece."""
        self.writer.write(b"".join(requests))
        await self.writer.drain()

    async def answer(self) -> Answer:
        """Read a response."""
        async with asyncio.timeout(30):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:])
            body = await self.reader.readexactly(int(headers["Content-Length"]))
        return Answer(int(head[0].split()[1]), headers, json.loads(body))

    async def ask(self, *requests: bytes) -> Answer:
        """Send requests in one piece, and read the first response."""
        await self.send(*requests)
        return await self.answer()


def event_of(number: int, **more: Any) -> bytes:
    about = made.subscription(f"sub_{number}", customer=f"cus_{number}")
    event = made.event("customer.subscription.created", about, id_=f"evt_{number}", **more)
    return made.encoded(event)


def webhook(body: bytes, secret: str = WEBHOOK_SECRET, **headers: str) -> bytes:
    """Return a request as Stripe sends it."""
    sent = {
        "Host": "a",
        "Content-Length": str(len(body)),
        "Stripe-Signature": made.sign(body, secret),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[tuple[Runner, Callable[[], Any]]]:
    """Serve an application as a server program does; yields what opens connections to it."""
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened: list[Socket] = []

    async def connect() -> Socket:
        opened.append(Socket(*await asyncio.open_connection(*runner.addresses[0][:2])))
        return opened[-1]

    try:
        yield runner, connect
    finally:
        for each in opened:
            each.writer.close()
        await runner.cleanup()


@pytest.fixture
async def app(database_url: str) -> web.Application:
    return make_app(make_settings(database_url=database_url, trusted_proxies="127.0.0.1"))


@pytest.fixture
async def runner_and_connect(
    app: web.Application,
) -> AsyncIterator[tuple[Runner, Callable[[], Awaitable[Socket]]]]:
    async with served(app) as opened:
        yield opened


@pytest.fixture
async def connection(runner_and_connect: tuple[Runner, Callable[[], Awaitable[Socket]]]) -> Socket:
    return await runner_and_connect[1]()


def requests_of(runner: Runner) -> int:
    """How many requests aiohttp has made; those of the direct route are not among them."""
    assert runner.server
    return runner.server.requests_count


async def kept(pool: Pool) -> list[str]:
    return [row["id"] for row in await pool.fetch("SELECT id FROM stripe_events ORDER BY id")]


async def test_a_webhook_is_received_by_its_connection(
    runner_and_connect: tuple[Runner, Any], connection: Socket, pool: Pool
) -> None:
    for outcome in ("applied", "duplicate"):
        answer = await connection.ask(webhook(event_of(1)))
        assert (answer.status, answer.body) == (200, {"received": True, "outcome": outcome})
        assert await kept(pool) == ["evt_1"]
    assert requests_of(runner_and_connect[0]) == 0


@pytest.mark.parametrize("more", [{}, {"X_Forwarded_Proto": "https"}, {"X_Request_Id": "mine"}])
async def test_its_response_is_that_of_a_request(
    app: web.Application, connection: Socket, more: dict[str, str]
) -> None:
    direct = await connection.ask(webhook(event_of(1), **more))
    without = make_app(app[keys.SETTINGS])
    del without[DIRECT]
    async with served(without) as (runner, connect):
        usual = await (await connect()).ask(webhook(event_of(2), **more))
        assert requests_of(runner) == 1
    assert (direct.status, direct.body) == (usual.status, usual.body)
    assert direct.headers.keys() == usual.headers.keys()
    differing = {"Date"} if "X_Request_Id" in more else {"Date", "X-Request-Id"}
    for name in direct.headers.keys() - differing:
        assert direct.headers[name] == usual.headers[name]
    assert len(direct.headers["X-Request-Id"]) == len(usual.headers["X-Request-Id"])


async def test_what_is_refused_is_answered_logged_and_counted_once(
    connection: Socket, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    counted = WEBHOOKS_REFUSED.labels("signature_invalid")
    before = counted._value.get()
    answer = await connection.ask(webhook(event_of(1), "whsec_wrong"))
    assert (answer.status, answer.body["code"]) == (400, "signature_invalid")
    assert counted._value.get() == before + 1
    lines = [record.getMessage() for record in caplog.records if "webhook" in record.getMessage()]
    assert [line.split(":")[0] for line in lines] == ["webhook refused", f"POST {PATH} 400"]
    assert (await connection.ask(webhook(event_of(2)))).status == 200
    assert await kept(pool) == ["evt_2"]


async def test_an_accepted_one_is_logged_and_counted_as_a_request_is(
    connection: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    counters = (
        HTTP_REQUESTS.labels("POST", PATH, "200"),
        WEBHOOK_EVENTS.labels("customer.subscription.created", "applied"),
    )
    before = [each._value.get() for each in counters]
    sent = {"X_Request_Id": "mine", "X_Forwarded_For": "192.0.2.7"}
    await connection.ask(webhook(event_of(1), **sent))
    assert [each._value.get() for each in counters] == [one + 1 for one in before]
    event, request = [r for r in caplog.records if r.name.startswith("mpanel_billing.")][-2:]
    assert (event.getMessage(), event.__dict__["eventId"]) == ("event applied", "evt_1")
    assert request.getMessage() == f"POST {PATH} 200"
    assert request.__dict__["client"] == "192.0.2.7"
    assert request.__dict__["durationMs"] > 0


async def test_responses_come_in_the_order_of_requests(
    runner_and_connect: tuple[Runner, Any], connection: Socket
) -> None:
    await connection.send(
        webhook(event_of(1)), GET, webhook(event_of(2)), webhook(event_of(3), "whsec_wrong"), GET
    )
    await connection.send(webhook(event_of(4)), webhook(event_of(5)))
    statuses = [(await connection.answer()).status for _ in range(7)]
    assert statuses == [200, 404, 200, 400, 404, 200, 200]


async def test_more_at_once_than_a_connection_queues_are_all_answered(connection: Socket) -> None:
    # small ones, which are read in one piece: aiohttp stops reading once 32 are waiting
    small = [
        made.event("plan.created", {"id": "plan_1", "object": "plan"}, id_=f"evt_{number}")
        for number in range(80)
    ]
    await connection.send(*[webhook(made.encoded(event)) for event in small], GET)
    statuses = [(await connection.answer()).status for _ in range(81)]
    assert statuses == [200] * 80 + [404]


async def test_a_body_that_arrives_in_pieces_is_received_too(
    connection: Socket, pool: Pool
) -> None:
    whole = webhook(event_of(1))
    for piece in (whole[:40], whole[40:-500], whole[-500:]):
        await connection.send(piece)
        await asyncio.sleep(0.01)
    assert (await connection.answer()).status == 200
    assert await kept(pool) == ["evt_1"]


@pytest.mark.parametrize(
    "more", [{"Content_Encoding": "gzip"}, {"Expect": "100-continue"}, {"Connection": "close"}]
)
async def test_what_is_unusual_is_served_as_any_request(
    runner_and_connect: tuple[Runner, Any], connection: Socket, more: dict[str, str]
) -> None:
    await connection.send(webhook(event_of(1), **more))
    if "Expect" in more:
        await connection.reader.readuntil(b"100 Continue\r\n\r\n")
    answer = await connection.answer()
    assert answer.status == (415 if "Content_Encoding" in more else 200)
    assert requests_of(runner_and_connect[0]) == 1


async def test_many_at_once_each_get_their_own_outcome(
    runner_and_connect: tuple[Runner, Any], pool: Pool
) -> None:
    sockets = [await runner_and_connect[1]() for _ in range(20)]
    bodies = [event_of(number, livemode=number == 7) for number in range(20)]
    answers = await asyncio.gather(
        *(each.ask(webhook(body)) for each, body in zip(sockets, bodies, strict=True))
    )
    assert [n for n, answer in enumerate(answers) if answer.status != 200] == [7]
    assert answers[7].body["code"] == "wrong_mode"
    assert len(await kept(pool)) == 19


async def test_an_event_is_kept_even_if_nobody_waits_for_the_response(
    connection: Socket, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("LOCK TABLE stripe_events")
        await connection.send(webhook(event_of(1)))
        await asyncio.sleep(0.02)
        connection.writer.transport.abort()
        await asyncio.sleep(0.02)
    await until_true(pool, "SELECT count(*) = 1 FROM stripe_events")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_without_a_database_the_response_is_503() -> None:
    app = make_app(make_settings(database_url="postgresql://nobody@127.0.0.1:1/none"))
    async with served(app) as (_, connect):
        connection = await connect()
        for number in range(2):
            answer = await connection.ask(webhook(event_of(number)))
            assert (answer.status, answer.body["code"]) == (503, "database_unavailable")


@pytest.mark.parametrize("outcome", ["applied", "refused"])
async def test_a_server_that_stops_answers_what_it_has_begun(
    app: web.Application, pool: Pool, outcome: str
) -> None:
    async with served(app) as (runner, connect):
        connection = await connect()
        if outcome == "refused":
            await pool.execute("ALTER TABLE stripe_events ADD CONSTRAINT full_disk CHECK (FALSE)")
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute("LOCK TABLE stripe_events")
            await connection.send(webhook(event_of(1)))
            await asyncio.sleep(0.05)
            app[SHUTDOWN].set()
            stopping = asyncio.create_task(runner.cleanup())
            await asyncio.sleep(0.05)
        with suppress(asyncio.IncompleteReadError):
            answer = await connection.answer()
            assert answer.status == (200 if outcome == "applied" else 503)
            assert answer.headers["Connection"] == "close"
        await asyncio.wait_for(stopping, 10)
        assert await asyncio.wait_for(connection.reader.read(), 10) == b""


async def test_once_the_server_stops_a_connection_ends_with_its_next_response(
    app: web.Application, connection: Socket
) -> None:
    assert "Connection" not in (await connection.ask(webhook(event_of(1)))).headers
    app[SHUTDOWN].set()
    assert (await connection.ask(webhook(event_of(2)))).headers["Connection"] == "close"
    assert await asyncio.wait_for(connection.reader.read(), 10) == b""
