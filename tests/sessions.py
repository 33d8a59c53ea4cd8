"""Keeps sessions of PostgreSQL for the next test that asks for one with the same settings.

A new session looks up what it needs of each table, function and operator, and plans each statement:
that was most of what PostgreSQL did for a test. Only sessions of databases that are lent again
(`Databases.lent`) are kept. They are reset as a pool resets its own; those of the service's pools
keep their prepared statements, as if the pool had stayed open.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary
from weakref import ref as weakref

import asyncpg
from asyncpg import connect_utils
from asyncpg.protocol import Protocol

from mpanel_billing.database import pool as pools

_TERMINATE = b"X\x00\x00\x00\x04"
_READY = b"Z\x00\x00\x00\x05I"
_RESET = (
    "RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP;"
    " DISCARD SEQUENCES; SELECT pg_advisory_unlock_all(); "
)
_NOTHING_ELSE_IS_PREPARED = "SELECT 1 / (count(*) = {})::integer FROM pg_prepared_statements"
_MOST = 16
"""Sessions that a process keeps: the server has 200 for all."""
_SECONDS = 5.0

_connect_addr = connect_utils._connect_addr
_set_up_connection = pools.set_up_connection


class Key(NamedTuple):
    """What a session was opened with."""

    socket: str
    database: str
    user: str
    settings: tuple[tuple[str, str], ...]


class Session(NamedTuple):
    """A session that waits: what the server said when it began, and what is prepared in it."""

    key: Key
    connected: socket.socket
    greeting: bytes
    statements: Mapping[Any, Any]


_kept: list[Session] = []
"""The latest at the end."""
_lent: set[str] = set()
"""The databases whose sessions are kept."""
_lines: "WeakKeyDictionary[asyncpg.Connection[asyncpg.Record], _Line]" = WeakKeyDictionary()


def pytest_configure() -> None:
    connect_utils._connect_addr = _connect
    pools.set_up_connection = _set_up


def pytest_unconfigure() -> None:
    for session in _kept:
        session.connected.close()


def keep_sessions_of(database: str) -> None:
    """Keep the sessions of a database from now on."""
    _lent.add(database)


def end_sessions_of(database: str) -> None:
    """End the sessions that are kept of a database, and keep no more."""
    _lent.discard(database)
    for session in [one for one in _kept if one.key.database == database]:
        _kept.remove(session)
        session.connected.close()


def kept_sessions_of(database: str) -> list[int]:
    """Return the pids of the sessions that are kept of a database."""
    return [_pid_in(one.greeting) for one in _kept if one.key.database == database]


async def _connect(
    *,
    addr: Any,
    loop: asyncio.AbstractEventLoop,
    params: Any,
    config: Any,
    connection_class: Callable[..., Any],
    record_class: type,
) -> Any:
    """Connect as asyncpg does, or take a session that is kept."""
    if params.database not in _lent or not isinstance(addr, str):
        return await _connect_addr(
            addr=addr,
            loop=loop,
            params=params,
            config=config,
            connection_class=connection_class,
            record_class=record_class,
        )
    connected = loop.create_future()
    protocol = Protocol(addr, connected, params, record_class, loop)
    settings = tuple((params.server_settings or {}).items())
    line = _Line(protocol, Key(addr, params.database, params.user, settings))
    transport = await line.open()
    try:
        await connected
    except BaseException:
        transport.close()
        raise
    connection = connection_class(protocol, transport, loop, addr, config, params)
    protocol.set_connection(connection)
    _lines[connection] = line
    return connection


async def _set_up(connection: Any) -> None:
    """Set up a connection of the service's, and give it what its session has prepared."""
    await _set_up_connection(connection)
    if connection in _lines:
        _lines[connection].hand_over_to(connection)


class _Line(asyncio.Protocol):
    """Stands between asyncpg and its transport when a session begins, and when it ends."""

    def __init__(self, protocol: Any, key: Key) -> None:
        self._protocol = protocol
        self._key = key
        self._session = _take(key)
        self._greeting = b""
        self._connection: weakref[Any] | None = None
        self._parting: asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()

    async def open(self) -> asyncio.Transport:
        """Connect, or take up the session."""
        if self._session is None:
            return (await self._loop.create_unix_connection(lambda: self, self._key.socket))[0]
        with ExitStack() as unless_taken:
            unless_taken.callback(self._session.connected.close)
            connected = self._session.connected
            transport, _ = await self._loop.create_unix_connection(lambda: self, sock=connected)
            unless_taken.pop_all()
        return transport

    def hand_over_to(self, connection: Any) -> None:
        """Let a connection know what is prepared."""
        self._connection = weakref(connection)
        if self._session:
            for key, statement in self._session.statements.items():
                connection._stmt_cache.put(key, statement)

    # What the transport calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.writelines = transport.writelines
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.get_extra_info = transport.get_extra_info
        self._protocol.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Note what the server says until it is ready, and step aside."""
        self._greeting += data
        self._protocol.data_received(data)
        if self._greeting.endswith(_READY):
            self._transport.set_protocol(self._protocol)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    # What asyncpg calls.

    def write(self, startup: memoryview) -> None:
        """Send the first message, unless the session has begun long ago."""
        self.write = self._write  # type: ignore[method-assign]
        if self._session:
            self._loop.call_soon(self.data_received, self._session.greeting)
        else:
            self._transport.write(startup)

    def _write(self, data: memoryview) -> None:
        if len(data) == len(_TERMINATE) and data == _TERMINATE:
            self._parting = self._loop.call_soon(self._part)
        else:
            self._transport.write(data)

    def abort(self) -> None:
        """End the session with the connection: it is cut, whatever it is doing."""
        if self._parting:
            self._parting.cancel()
            self._transport.write(_TERMINATE)
        self._transport.abort()

    def _part(self) -> None:
        """Keep the session, without asyncpg and its loop."""
        self._parting = None
        connected = socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))
        self._transport.abort()
        superfluous, statements = self._take_statements()
        if self._key.database in _lent and _reset(connected, superfluous, len(statements)):
            _keep(Session(self._key, connected, self._greeting, statements))
        else:
            connected.close()

    def _take_statements(self) -> tuple[list[str] | None, Mapping[Any, Any]]:
        """Take what is prepared from asyncpg, which would mark it as closed.

        Returns the names of what is to be closed, None for all.
        """
        connection = self._connection and self._connection()
        if connection is None:
            return None, {}
        entries, cache = connection._stmt_cache._entries, connection._stmt_cache
        for entry in entries.values():
            cache._clear_entry_callback(entry)
        statements = {
            key: entry._statement
            for key, entry in entries.items()
            if not entry._statement.closed and not entry._statement.refs
        }
        entries.clear()
        return [one.name for one in connection._stmts_to_close if one.name], statements


def _keep(session: Session) -> None:
    _kept.append(session)
    if len(_kept) > _MOST:
        _kept.pop(0).connected.close()


def _take(key: Key) -> Session | None:
    """Take a session that is kept and that the server has not ended."""
    for session in [one for one in reversed(_kept) if one.key == key]:
        _kept.remove(session)
        session.connected.setblocking(False)
        with suppress(BlockingIOError):
            session.connected.recv(1)
            session.connected.close()
            continue
        return session
    return None


def _reset(connected: socket.socket, superfluous: list[str] | None, prepared: int) -> bool:
    """Reset a session but for what is prepared; return whether it worked."""
    names = ["ALL"] if superfluous is None else superfluous
    closing = "".join(f"DEALLOCATE {name}; " for name in names)
    query = (_RESET + closing + _NOTHING_ELSE_IS_PREPARED.format(prepared)).encode() + b"\0"
    connected.settimeout(_SECONDS)
    with suppress(OSError):
        connected.sendall(b"Q" + struct.pack("!i", len(query) + 4) + query)
        said = b""
        while b"Z" not in _types_in(said):
            more = connected.recv(65536)
            if not more:
                return False
            said += more
        return said.endswith(_READY) and b"E" not in _types_in(said)
    return False


def _types_in(said: bytes) -> bytes:
    """Return the types of the messages that are complete."""
    types, place = b"", 0
    while place + 5 <= len(said):
        end = place + 1 + struct.unpack_from("!i", said, place + 1)[0]
        if end > len(said):
            break
        types += said[place : place + 1]
        place = end
    return types


def _pid_in(greeting: bytes) -> int:
    """Return the pid of BackendKeyData."""
    place = 0
    while greeting[place : place + 1] != b"K":
        place += 1 + struct.unpack_from("!i", greeting, place + 1)[0]
    pid: int = struct.unpack_from("!i", greeting, place + 5)[0]
    return pid
