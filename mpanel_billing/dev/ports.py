"""Ports that `dev` needs, looked at before anything is started."""

import socket
from collections.abc import Mapping
from contextlib import closing

from mpanel_billing.errors import BillingError


class PortTakenError(BillingError):
    """A port is in use, or meant for two things; the message names port and option."""

    code = "port_taken"


def require_free_ports(ports: Mapping[str, int]) -> None:
    """Check ports on 127.0.0.1, given by the option that chooses each."""
    seen: dict[int, str] = {}
    for option, port in ports.items():
        if port in seen:
            message = f"port {port} is chosen twice, by {seen[port]} and {option}"
            raise PortTakenError(message)
        seen[port] = option
        _require_free(option, port)


def _require_free(option: str, port: int) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            message = f"port {port} cannot be used ({error.strerror}); choose one with {option}"
            raise PortTakenError(message) from error
