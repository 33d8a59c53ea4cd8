"""A generator of webhook requests that is not itself the bottleneck.

Requests are signed and serialised and connections opened before the clock starts. Each connection
is a raw socket that sends its next request once the last response is complete. Runs as its own
process: `python -m benchmarks.load_generator FILE HOST PORT CONNECTIONS`, where FILE holds pickled
request bytes.
"""

import json
import pickle
import re
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass
class Connection:
    """One keep-alive connection with its request in flight."""

    sock: socket.socket
    started: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes) -> None:
        self.received.clear()
        self.started = time.perf_counter()
        self.sock.sendall(request)

    def read(self) -> bool:
        """Read what has arrived; return whether the response is complete. Not 200 raises."""
        self.received += self.sock.recv(65536)
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(bytes(self.received).decode(errors="replace"))
        length = _LENGTH.search(head)
        return length is not None and len(body) >= int(length[1])


def run(requests: list[bytes], host: str, port: int, connections: int) -> dict[str, float]:
    """Send all requests; return the seconds it took and the latencies in milliseconds."""
    queue = iter(requests)
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    opened = [_connect(host, port) for _ in range(connections)]
    began = time.perf_counter()
    for connection in opened:
        if _send_next(connection, queue):
            selector.register(connection.sock, selectors.EVENT_READ, connection)
    while selector.get_map():
        for key, _ in selector.select():
            connection = key.data
            if connection.read():
                latencies.append(time.perf_counter() - connection.started)
                if not _send_next(connection, queue):
                    selector.unregister(connection.sock)
                    connection.sock.close()
    seconds = time.perf_counter() - began
    latencies.sort()
    return {
        "seconds": seconds,
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[int(len(latencies) * 0.99)] * 1000,
    }


def _connect(host: str, port: int) -> Connection:
    sock = socket.create_connection((host, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(sock)


def _send_next(connection: Connection, queue: Iterator[bytes]) -> bool:
    request = next(queue, None)
    if request is not None:
        connection.send(request)
    return request is not None


if __name__ == "__main__":
    file, host, port, connections = sys.argv[1:]
    # written by the benchmark itself
    loaded = pickle.loads(Path(file).read_bytes())
    print(json.dumps(run(loaded, host, int(port), int(connections))))
