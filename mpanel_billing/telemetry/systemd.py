"""What systemd tells the processes that it starts, and what it wants to hear from them."""

import os
import socket

from mpanel_billing.errors import SettingsError

_FIRST_SOCKET = 3
"""The file descriptor of the first socket that systemd passes."""


def take_sockets() -> list[socket.socket]:
    """Return the listening sockets of a socket unit, with which this process was started.

    Only once: the variables are removed, so that no child takes them for its own. SettingsError if
    one is not a TCP socket: without the client's address there would be no rate limits.
    """
    passed = os.environ.pop("LISTEN_FDS", "0")
    for_process = os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if for_process != str(os.getpid()):
        return []
    return [_take(_FIRST_SOCKET + index) for index in range(int(passed))]


def _take(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    taken = socket.socket(fileno=descriptor)
    if taken.family not in {socket.AF_INET, socket.AF_INET6} or taken.type != socket.SOCK_STREAM:
        raise SettingsError("the socket unit must have TCP sockets only: ListenStream=ADDRESS:PORT")
    taken.setblocking(False)
    return taken


def notify(state: str) -> None:
    """Send a line such as READY=1 to systemd; does nothing without it (`Type=notify`).

    A systemd that does not take it is ignored: the service must not depend on who watches it.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return
