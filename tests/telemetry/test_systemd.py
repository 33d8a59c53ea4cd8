"""What systemd passes and hears; tests/deploy has it with systemd's own programs."""

import asyncio
import os
import socket
import sys

import pytest

from mpanel_billing.telemetry.systemd import notify, take_sockets

TAKE = """
from mpanel_billing.telemetry.systemd import take_sockets
print([taken.getsockname() for taken in take_sockets()], take_sockets())
"""
AS_SYSTEMD = 'exec 3<&"$1"; export LISTEN_FDS=1 LISTEN_PID="${2:-$$}"; exec "${@:3}"'


async def take(listener: socket.socket, process: str = "") -> tuple[str, str]:
    """Take the sockets in a process of its own; return what it prints, and its error."""
    program = await asyncio.create_subprocess_exec(
        *("bash", "-c", AS_SYSTEMD, "bash", str(listener.fileno()), process),
        *(sys.executable, "-c", TAKE),
        pass_fds=[listener.fileno()],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, error = await program.communicate()
    return printed.decode().strip(), error.decode()


async def test_a_socket_is_taken_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        printed, _ = await take(listener)
        assert printed == f"[{listener.getsockname()}] []"


async def test_a_socket_for_another_process_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        printed, _ = await take(listener, process="1")
        assert printed == "[] []"


async def test_a_unix_socket_is_refused() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0mpanel-billing-test-{os.getpid()}")
        listener.listen()
        _, error = await take(listener)
    assert "TCP sockets only" in error


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert take_sockets() == []
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/to/be/found")
    notify("READY=1")


def test_a_name_in_the_abstract_namespace_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"mpanel-billing-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
