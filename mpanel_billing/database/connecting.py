"""Connects to the server that an address asks for, of the one or the several that it names.

asyncpg tries them in turn within one time limit: a first server that is silent, because its
machine or network is gone, uses all of it.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from mpanel_billing.database_url import for_target, server_name, servers_of, target_of

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:  # generic in its stubs only
    _Connection = asyncpg.Connection

CONNECT_TIMEOUT_SECONDS = 5.0
"""How long a server may take to let us in."""
DISCONNECT_SECONDS = 2.0
"""How long closing a connection waits for what is still under way on it."""
HEAD_START_SECONDS = 0.5
"""How long the next server waits for one that has not responded."""

_SILENCE = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
"""Without an acknowledged packet for 10 s a connection is lost: all in seconds, but the last in
milliseconds. By the kernel's defaults it takes 15 minutes if something was sent, else two hours."""

_TRY_NEXT = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError)


class NoServerError(ConnectionError):
    """None of several servers can be used; the message has the reason of each."""


class _Reached(NamedTuple):
    url: str
    connection: _Connection


async def connect(url: str, **options: Any) -> _Connection:
    """Connect to the first server that responds and is what `target_session_attrs` asks for.

    `options` are those of asyncpg.connect. Each server has `timeout` seconds, by default
    CONNECT_TIMEOUT_SECONDS. The next one is asked once one has failed, or has not responded in
    HEAD_START_SECONDS; then the faster one wins. Raises what asyncpg raises if the address names a
    single server, else NoServerError.
    """
    return (await _reach(url, {"timeout": CONNECT_TIMEOUT_SECONDS} | options)).connection


async def disconnect(connection: _Connection) -> None:
    """Close a connection; cut it if the server does not react in DISCONNECT_SECONDS."""
    with suppress(TimeoutError, OSError):
        await connection.close(timeout=DISCONNECT_SECONDS)


async def find_writable(url: str) -> str:
    """Return the address of the server that accepts writes, for a program that takes only one.

    If the address names a single server, it is not asked. Raises NoServerError.
    """
    urls = servers_of(url)
    if len(urls) == 1:
        return for_target(url, None)
    writable = [for_target(one, "read-write") for one in urls]
    found = await _race(writable, {"timeout": CONNECT_TIMEOUT_SECONDS})
    found.connection.terminate()
    return for_target(found.url, None)


async def _reach(url: str, options: dict[str, Any]) -> _Reached:
    urls = servers_of(url)
    if len(urls) == 1:
        return await _ask(url, options)
    if target_of(url) == "prefer-standby":
        try:
            standbys = [for_target(one, "standby") for one in urls]
            return await _race(standbys, options)
        except NoServerError:
            urls = [for_target(one, "any") for one in urls]
    if target_of(url) is None:
        # asked for none, the fastest would do, and writes would fail on a standby
        urls = [for_target(one, "read-write") for one in urls]
    return await _race(urls, options)


async def _race(urls: Sequence[str], options: dict[str, Any]) -> _Reached:
    asked: list[asyncio.Task[_Reached]] = []
    for url in urls:
        before = asked[-1] if asked else None
        asked.append(asyncio.create_task(_ask_after(before, url, options)))
    reasons: list[NoServerError] = []
    winner = None
    try:
        for response in asyncio.as_completed(asked):
            try:
                winner = await response
            except NoServerError as error:
                reasons.append(error)
            else:
                return winner
    finally:
        await _drop(asked, winner)
    raise NoServerError("; ".join(map(str, reasons))) from reasons[0]


async def _ask_after(
    before: "asyncio.Task[_Reached] | None", url: str, options: dict[str, Any]
) -> _Reached:
    if before is not None:
        await asyncio.wait({before}, timeout=HEAD_START_SECONDS)
    try:
        return await _ask(url, options)
    except _TRY_NEXT as error:
        reason = str(error) or type(error).__name__
        raise NoServerError(f"{server_name(url)}: {reason}") from error


async def _ask(url: str, options: dict[str, Any]) -> _Reached:
    connection: _Connection = await asyncpg.connect(url, **options)
    _notice_silence(connection)
    return _Reached(url, connection)


def _notice_silence(connection: _Connection) -> None:
    """Let the kernel end the connection if the other side is gone without a word."""
    # asyncpg does not publish the socket
    transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]
    connected: socket.socket = transport.get_extra_info("socket")
    if connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _SILENCE.items():
        if hasattr(socket, option):  # each system has others
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


async def _drop(asked: Sequence["asyncio.Task[_Reached]"], winner: _Reached | None) -> None:
    """Cancel what still connects, and cut what has connected too late.

    If the caller gives up meanwhile, nobody gets the winner: it is cut as well.
    """
    for task in asked:
        task.add_done_callback(partial(_cut_loser, winner))
        task.cancel()
    try:
        await asyncio.wait(asked)
    except asyncio.CancelledError:
        if winner is not None:
            winner.connection.terminate()
        raise


def _cut_loser(winner: _Reached | None, asked: "asyncio.Task[_Reached]") -> None:
    if asked.cancelled() or asked.exception() is not None:
        return
    if asked.result() is not winner:
        asked.result().connection.terminate()
