import socket

import pytest

from mpanel_billing.dev.orchestrator import PortTakenError, require_free_ports
from tests.ports import unused_port


def test_free_ports_are_fine():
    require_free_ports({"--port": unused_port()})


def test_a_taken_port_is_named_with_its_option():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} .* choose one with --port"):
            require_free_ports({"--port": port})


def test_one_port_for_two_things_is_refused():
    with pytest.raises(PortTakenError, match="chosen twice, by --port and --sandbox-port"):
        require_free_ports({"--port": 45671, "--sandbox-port": 45671})
