"""Ports for servers that are told one, because others have to know it before they run."""

import socket
from pathlib import Path
from secrets import randbelow

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LEAST, _MOST = 11_000, 32_767
"""Above the ports that a browser refuses."""
_given: set[int] = set()


def unused_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens, each once.

    A port that the kernel chooses may become that of an outgoing connection before it is used.
    This one cannot: it is below the kernel's.
    """
    while True:
        port = _LEAST + randbelow(_first_of_the_kernel() - _LEAST)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _first_of_the_kernel() -> int:
    if not _EPHEMERAL.exists():  # macOS begins at 49152
        return _MOST
    return min(_MOST, int(_EPHEMERAL.read_text().split()[0]))


def _is_free(port: int) -> bool:
    with socket.socket() as found:
        try:
            found.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
