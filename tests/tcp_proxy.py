"""A way between a client and a server that can fall silent, as when packets are dropped."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
"""What a client of PostgreSQL sends first if it wants TLS."""


class TcpProxy:
    """Passes bytes on, until it is silent: then connections stay open, and nothing comes."""

    def __init__(self, server_socket: str, tls: ssl.SSLContext | None = None) -> None:
        """Forward to PostgreSQL's Unix socket; with `tls`, as a server that has TLS."""
        self.port = 0
        self._tls = tls
        self.silent = False
        self._to = server_socket
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TcpProxy"]:
        """Listen on a free port of 127.0.0.1."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self._tls:
            assert await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST, "asks for TLS"
            writer.write(b"S")
            await writer.start_tls(self._tls)
        onward_reader, onward_writer = await asyncio.open_unix_connection(self._to)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, onward_writer))
                group.create_task(self._copy(onward_reader, writer))
        finally:
            self._tasks.discard(task)
            for opened in (writer, onward_writer):
                opened.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        writer.close()


@contextmanager
def silent_port() -> Iterator[int]:
    """Listen on a free port of 127.0.0.1, and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])
