"""The client's address, behind proxies that forward it."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import hdrs, web

from mpanel_billing.http import keys

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"


def client_of(request: web.Request) -> str:
    """Return the client of a request: its IPv4 address, or its IPv6 network."""
    if hdrs.X_FORWARDED_FOR not in request.headers:
        return _peer_name(request.remote or "")
    return client_name(address_of(request))


def address_name(request: web.Request) -> str:
    """Return the client's whole address, for the log."""
    return str(address_of(request) or UNKNOWN)


def address_of(request: web.Request) -> Address | None:
    """Return the client's address; X-Forwarded-For counts only if it comes from TRUSTED_PROXIES."""
    forwarded = request.headers.getall(hdrs.X_FORWARDED_FOR, [])
    return find_client(request.remote, forwarded, request.app[keys.SETTINGS].trusted_networks)


def came_by_https(request: web.Request) -> bool:
    """Return whether the client used https; X-Forwarded-Proto counts only from TRUSTED_PROXIES."""
    forwarded = request.headers.getall(hdrs.X_FORWARDED_PROTO, [])
    trusted = request.app[keys.SETTINGS].trusted_networks
    return request.secure or says_https(request.remote, forwarded, trusted)


def came_by_proxy(request: web.Request) -> bool:
    """Return whether the other end of the connection is one of TRUSTED_PROXIES."""
    return _is_trusted(request.remote, request.app[keys.SETTINGS].trusted_networks)


def _is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    address = _read(peer or "")
    return address is not None and any(address in network for network in trusted)


def says_https(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> bool:
    """Return whether a trusted peer says that its client used https (X-Forwarded-Proto)."""
    if not forwarded or not _is_trusted(peer, trusted):
        return False
    return forwarded[-1].rpartition(",")[2].strip().lower() == "https"


def find_client(
    peer: str | None, forwarded: Iterable[str], trusted: Sequence[Network]
) -> Address | None:
    """Return the last address on the way to us that is not a trusted proxy.

    `peer` is the other end of the connection; each proxy appends the address before it to
    `forwarded`. What is left of an untrusted address is only claimed by it. None if the connection
    has no address, as on a Unix socket.
    """
    client = _read(peer or "")
    hops = [hop for header in forwarded for hop in header.split(",")]
    while client and hops and any(client in network for network in trusted):
        hop = _read(hops.pop())
        if hop is None:
            break
        client = hop
    return client


def client_name(client: Address | None) -> str:
    """Return the name to count a client by; an IPv6 client has at least a /64 to itself."""
    if isinstance(client, IPv6Address):
        return str(IPv6Network((client, 64), strict=False))
    return str(client) if client else UNKNOWN


@lru_cache(maxsize=10_000)
def _peer_name(peer: str) -> str:
    return client_name(_read(peer))


@lru_cache(maxsize=10_000)
def _read(text: str) -> Address | None:
    """Parse an address with an optional port and zone; None if it is not one."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
