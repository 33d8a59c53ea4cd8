"""Clients that are slow, break off or do not speak HTTP, over a raw socket."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import web

from mpanel_billing.http import request as request_module
from mpanel_billing.http.connections import Runner
from tests.service import CREATE_SESSION, make_app, make_settings

SHORT = 0.5
"""Seconds: what is awaited is the end of the connection, which takes hardly longer."""
SECRET = "s3cr3t"

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens connections to the app, as a server program runs it, with short limits."""
    runner = Runner(make_app(make_settings()), header_seconds=SHORT, keepalive_timeout=2 * SHORT)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    writers: list[asyncio.StreamWriter] = []

    async def open_one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    yield open_one
    for writer in writers:
        writer.close()
    await runner.cleanup()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes the connection."""
    async with asyncio.timeout(8):  # less than HEADER_SECONDS
        with suppress(ConnectionResetError):
            return await reader.read()
    return b""


async def ask(connect: Connect, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and read one response up to the end of the connection."""
    reader, writer = await connect()
    writer.write(sent)
    head, _, body = (await rest_of(reader)).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize("sent", [b"", b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n", b"G"])
async def test_a_client_that_does_not_finish_its_headers_is_closed(
    connect: Connect, sent: bytes
) -> None:
    reader, writer = await connect()
    writer.write(sent)
    assert await rest_of(reader) == b""


async def test_a_client_that_drips_its_headers_is_closed_too(connect: Connect) -> None:
    reader, writer = await connect()
    closed = asyncio.create_task(rest_of(reader))
    writer.write(b"GET /openapi.json HTTP/1.1\r\nX-Drip: ")
    while not closed.done():
        writer.write(b"x")
        await asyncio.sleep(0.01)
    assert closed.result() == b""


async def test_an_idle_connection_is_closed_and_a_used_one_is_not(connect: Connect) -> None:
    reader, writer = await connect()
    for _ in range(2):
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
        await reader.readexactly(int(length.split()[1]))
        await asyncio.sleep(1.2 * SHORT)  # longer than headers may take, shorter than idleness
    assert await rest_of(reader) == b""


POST = f"POST {CREATE_SESSION} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()


async def test_a_body_that_does_not_arrive_is_refused_and_the_connection_closed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_module, "BODY_SECONDS", SHORT)
    sent = POST + b'Content-Length: 100\r\nConnection: close\r\n\r\n{"planId":'
    status, _, body = await ask(connect, sent)
    assert (status, json.loads(body)["code"]) == (408, "request_timeout")


MALFORMED = {
    "no HTTP": f"{SECRET}\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "control character": f"GET / HTTP/1.1\r\nHost: a\r\nX-Key: {SECRET}\x00\r\n\r\n",
    "no name": f"GET / HTTP/1.1\r\n: {SECRET}\r\n\r\n",
    "long header": f"GET / HTTP/1.1\r\nX-Key: {SECRET * 5000}\r\n\r\n",
    "many headers": "GET / HTTP/1.1\r\n" + f"X-Key: {SECRET}\r\n" * 200 + "\r\n",
    "length": f"POST / HTTP/1.1\r\nContent-Length: {SECRET}\r\n\r\n",
    "two lengths": f"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{SECRET}",
    "version": f"GET / HTTP/9.9\r\nX-Key: {SECRET}\r\n\r\n",
    "expectation": f"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: {SECRET}\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_not_http_gets_our_error_and_is_neither_repeated_nor_traced(
    connect: Connect, caplog: pytest.LogCaptureFixture, sent: str
) -> None:
    caplog.set_level(logging.INFO)
    status, headers, body = await ask(connect, sent.encode("latin-1"))
    answer = json.loads(body)
    assert status in {400, 417}
    assert (answer["success"], answer["code"]) == (
        False,
        "malformed_request" if status == 400 else "http_error",
    )
    assert headers["Content-Type"].startswith("application/json")
    assert headers["Server"] == "mpanel-billing"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert SECRET not in body.decode() + str(headers) + caplog.text
    assert [r.getMessage() for r in caplog.records if r.exc_info or r.levelno > logging.INFO] == []
    if status == 400:
        (line,) = [r for r in caplog.records if r.name == "mpanel_billing.requests"]
        assert (line.status, line.client) == (400, "127.0.0.1")  # type: ignore[attr-defined]
        assert headers["X-Request-Id"] == answer["requestId"]


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Encoding: deflate\r\nContent-Length: 2\r\n\r\n{}",
        b'Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n{"a":1234}',
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
    ],
    ids=["deflate", "gzip", "chunks"],
)
async def test_a_body_that_is_not_encoded_as_its_headers_say_is_a_400(
    connect: Connect, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    status, _, answer = await ask(connect, POST + b"Connection: close\r\n" + body)
    assert (status, json.loads(answer)["code"]) == (400, "malformed_request")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /openapi.json HT",
        POST + b'Content-Length: 100\r\n\r\n{"planId":',
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{",
        b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 20,
    ],
    ids=["headers", "body", "chunks", "responses"],
)
async def test_a_client_that_breaks_off_is_no_error(
    connect: Connect, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    _, writer = await connect()
    writer.write(sent)
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.transport.abort()
    await ask(connect, b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    await asyncio.sleep(0.02)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
