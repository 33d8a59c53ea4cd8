"""A domain name system of its own: a root, a registry and nameservers, on this host.

All listen on one port, as in the real one: the root on 127.0.0.1, each other server on an address
of its own. They speak TCP only.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from dns.message import Message
from dns.name import Name, from_text
from dns.rdatatype import CNAME, NS, TXT, A, RdataType

from mpanel_billing.domains.authority import DnsAccess

Manner = Literal["refuse", "servfail", "silent", "garbage", "lame", "hang up"]

ROOT, REGISTRY = "127.0.0.1", "127.0.0.2"
ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, 10))
OURS = ("ns1.host.net", "ns2.host.net", "ns3.host.net")
_ROUNDS = 20

Records = dict[tuple[Name, RdataType], list[str]]


@dataclass
class NameServers:
    """What each server knows, by address and zone; `manners`: how it misbehaves."""

    port: int
    zones: dict[str, dict[Name, Records]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    manners: dict[str, Manner] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def access(self) -> DnsAccess:
        return DnsAccess((ROOT,), self.port)

    def put(self, address: str, zone: str, name: str, kind: RdataType, *values: str) -> None:
        """Have a server say of its zone that these are the records of a name."""
        self.zones[address][from_text(zone)][from_text(name), kind] = list(values)

    def drop(self, address: str, zone: str, name: str, kind: RdataType) -> None:
        del self.zones[address][from_text(zone)][from_text(name), kind]

    def delegate(self, name: str, servers: dict[str, str], by: str = REGISTRY) -> None:
        """Have the registry name a domain's nameservers, some with their addresses."""
        zone = name.partition(".")[2]
        self.put(by, zone, name, NS, *(f"{server}." for server in servers))
        for server, address in servers.items():
            if address:
                self.put(by, zone, server, A, address)

    def host(self, name: str, *addresses: str) -> None:
        """Delegate a domain to nameservers in its own zone."""
        servers = {f"ns{n}.{name}": address for n, address in enumerate(addresses, start=1)}
        self.delegate(name, servers)
        for address in addresses:
            self.put(address, name, name, NS, *(f"{server}." for server in servers))

    def prove(self, record: dict[str, str], zone: str, *addresses: str) -> None:
        """Publish the record that a buyer was given."""
        for address in addresses:
            self.put(address, zone, record["recordName"], TXT, f'"{record["recordValue"]}"')

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        try:
            size = int.from_bytes(await reader.readexactly(2))
            query = dns.message.from_wire(await reader.readexactly(size))
            self.asked.append(f"{address} {query.question[0].name}")
            if self.manners.get(address) == "silent":
                await reader.read()  # until the other side hangs up
            wire = self._wire(address, query)
            writer.write(len(wire).to_bytes(2) + wire)
            await writer.drain()
        finally:
            writer.close()

    def _wire(self, address: str, query: Message) -> bytes:
        match self.manners.get(address):
            case "garbage":
                return b"\x00" * 60
            case "hang up" | "silent":
                return b""
            case "refuse":
                return _failing(query, dns.rcode.REFUSED)
            case "servfail":
                return _failing(query, dns.rcode.SERVFAIL)
            case "lame":
                return dns.message.make_response(query).to_wire()
            case _:
                return self.answer(address, query).to_wire(max_size=65535)

    def answer(self, address: str, query: Message) -> Message:
        response = dns.message.make_response(query)
        name, kind = query.question[0].name, query.question[0].rdtype
        zone = next((up for up in _upwards(name) if up in self.zones[address]), None)
        if zone is None:
            response.set_rcode(dns.rcode.REFUSED)
            return response
        records = self.zones[address][zone]
        for up in reversed(list(_upwards(name))):
            if up != zone and up.is_subdomain(zone) and (up, NS) in records:
                return _refer(response, records, up)
        response.flags |= dns.flags.AA
        _answer(response, records, name, kind)
        return response


def _upwards(name: Name) -> Iterator[Name]:
    while True:
        yield name
        if not name.labels[:-1]:
            return
        name = name.parent()


def _failing(query: Message, rcode: dns.rcode.Rcode) -> bytes:
    response = dns.message.make_response(query)
    response.set_rcode(rcode)
    return response.to_wire()


def _refer(response: Message, records: Records, cut: Name) -> Message:
    servers = _rrset(cut, NS, records[cut, NS])
    response.authority.append(servers)
    for server in servers:
        if (server.target, A) in records:
            response.additional.append(_rrset(server.target, A, records[server.target, A]))
    return response


def _answer(response: Message, records: Records, name: Name, kind: RdataType) -> None:
    wildcard = next(
        (up for each in _upwards(name) if (up := from_text("*", each)) in {n for n, _ in records}),
        None,
    )
    source = name if any(n == name for n, _ in records) else wildcard
    if source is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
    for found in (CNAME, kind):
        if source is not None and (source, found) in records:
            response.answer.append(_rrset(name, found, records[source, found]))


def _rrset(name: Name, kind: RdataType, values: list[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(name, 60, dns.rdataclass.IN, kind, values)


async def _listen(world: NameServers) -> list[asyncio.Server]:
    """Listen on one port of all addresses: the first that is free on each."""
    servers: list[asyncio.Server] = []
    for address in ADDRESSES:
        server = await asyncio.start_server(world.serve, address, world.port)
        world.port = world.port or server.sockets[0].getsockname()[1]
        servers.append(server)
    return servers


@asynccontextmanager
async def open_nameservers() -> AsyncIterator[NameServers]:
    """Run a root, a registry of com, net and org, and nameservers of our own on 127.0.0.9."""
    for _ in range(_ROUNDS):
        world = NameServers(_free_port())
        try:
            servers = await _listen(world)
        except OSError:
            continue
        break
    else:
        raise AssertionError("no port is free on all addresses")
    for zone in ("com", "net", "org"):
        world.put(ROOT, ".", zone, NS, "a.registry.net.")
        world.put(REGISTRY, zone, zone, NS, "a.registry.net.")
    world.put(ROOT, ".", "a.registry.net", A, REGISTRY)
    world.delegate("host.net", dict.fromkeys(OURS, ADDRESSES[-1]))
    for host in OURS:
        world.put(ADDRESSES[-1], "host.net", host, A, ADDRESSES[-1])
    try:
        yield world
    finally:
        for server in servers:
            server.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ROOT, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def nameservers() -> AsyncIterator[NameServers]:
    async with open_nameservers() as world:
        yield world
