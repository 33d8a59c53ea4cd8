"""Asks the nameservers of a zone themselves, from the root down, and never a cache.

By TCP only: nobody who is not on the way can put in an answer, and none is cut short. All that
answer for a zone are asked, so that one which is in other hands decides nothing. What a domain's
owner can make us do is bounded: servers, questions, and time.
"""

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import SystemRandom

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
from dns.exception import DNSException
from dns.message import Message
from dns.name import Name, from_text
from dns.name import root as ROOT  # noqa: N812
from dns.rdatatype import AAAA, CNAME, DNAME, NS, TXT, A, RdataType
from dns.rrset import RRset

from mpanel_billing.errors import ServiceUnreachableError

ROOT_SERVERS = (
    *("198.41.0.4", "170.247.170.2", "192.33.4.12", "199.7.91.13", "192.203.230.10"),
    *("192.5.5.241", "192.112.36.4", "198.97.190.53", "192.36.148.17", "192.58.128.30"),
    *("193.0.14.129", "199.7.83.42", "202.12.27.33"),
)
"""a to m.root-servers.net. Source: IANA's root hints."""

ANSWER_SECONDS = 3.0
"""How long one server may take."""

WALK_SECONDS = 20.0
MOST_QUESTIONS = 60
_MOST_SERVERS = 4
"""How many servers of a zone are asked; of those with more, that many at random."""

_DEEPEST = 12
_MOST_NESTED = 3
"""How many nameservers without an address may need each other."""

_dice = SystemRandom()


class NoAnswerError(ServiceUnreachableError):
    """The nameservers that had to be asked do not answer, or not usefully."""

    code = "no_dns_answer"


@dataclass(frozen=True, slots=True)
class DnsAccess:
    """The addresses of the root's servers, and the port of all servers.

    An owner's nameservers at private addresses are not asked, unless the root is an own one.
    """

    roots: tuple[str, ...] = ROOT_SERVERS
    port: int = 53

    def may_ask(self, address: str) -> bool:
        """Whether a nameserver may have this address."""
        return self.roots != ROOT_SERVERS or ipaddress.ip_address(address).is_global


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """The TXT records at a name, from each server of its zone.

    `is_alias`: there is a CNAME or DNAME instead, which is not followed. `nameservers`: of all
    zones on the way.
    """

    by_server: tuple[frozenset[str], ...]
    is_alias: bool
    nameservers: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Zone:
    """A zone and its nameservers, as the zone above names them; `path`: and those of all above."""

    name: Name
    hosts: tuple[Name, ...]
    glue: Mapping[Name, Sequence[str]]
    path: frozenset[str]


async def find_texts(access: DnsAccess, name: str) -> TextAnswer:
    """Return the TXT records at a name; raises NoAnswerError."""
    walk = _Walk(access)
    async with _limited(name):
        return await walk.texts(_name_of(name))


async def find_delegation(access: DnsAccess, name: str) -> tuple[frozenset[str], ...]:
    """Return the nameservers of a name, from each server of the zone above; raises NoAnswerError.

    None of them: it is not delegated.
    """
    walk = _Walk(access)
    async with _limited(name):
        return await walk.delegation(_name_of(name))


class _limited:  # noqa: N801
    """Ends a walk in time, with an error that says so."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._timeout = asyncio.timeout(WALK_SECONDS)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        try:
            await self._timeout.__aexit__(*raised)  # type: ignore[arg-type]
        except TimeoutError:
            raise NoAnswerError(f"The nameservers of {self._name} are too slow.") from None


class _Walk:
    """One walk, with what it has asked so far."""

    def __init__(self, access: DnsAccess) -> None:
        self._access = access
        self._questions = 0
        self._resolving: list[Name] = []

    async def texts(self, name: Name) -> TextAnswer:
        zone = await self._find_zone(name, TXT)
        answers = [each for each in await self._ask_all(zone, name, TXT) if _is_authoritative(each)]
        if not answers:
            raise _silent(zone)
        return TextAnswer(
            by_server=tuple(_texts_in(each, name) for each in answers),
            is_alias=any(
                rrset.rdtype in {CNAME, DNAME} for each in answers for rrset in each.answer
            ),
            nameservers=zone.path,
        )

    async def delegation(self, name: Name) -> tuple[frozenset[str], ...]:
        zone = await self._find_zone(name, NS, above=True)
        answers = await self._ask_all(zone, name, NS)
        found = [_delegation_in(each, name) for each in answers]
        known = tuple(each for each in found if each is not None)
        if not known:
            raise _silent(zone)
        return known

    async def _find_zone(self, name: Name, kind: RdataType, *, above: bool = False) -> _Zone:
        """Return the zone whose servers answer for a name; `above`: the one that delegates it."""
        zone = _root_zone(self._access.roots)
        for _ in range(_DEEPEST):
            lower = await self._step(zone, name, kind)
            if lower is None or (above and lower.name == name):
                return zone
            zone = lower
        raise _silent(zone)

    async def _step(self, zone: _Zone, name: Name, kind: RdataType) -> _Zone | None:
        """Return the zone to which the servers of this one refer; None if they answer."""
        for address in await self._addresses_of(zone):
            answer = await self._ask(address, name, kind)
            if answer is None:
                continue
            if (lower := _referral_in(answer, zone, name)) is not None:
                return lower
            if _is_authoritative(answer):
                return None
        raise _silent(zone)

    async def _ask_all(self, zone: _Zone, name: Name, kind: RdataType) -> list[Message]:
        addresses = await self._addresses_of(zone)
        answers = await asyncio.gather(*(self._ask(each, name, kind) for each in addresses))
        return [answer for answer in answers if answer is not None]

    async def _ask(self, address: str, name: Name, kind: RdataType) -> Message | None:
        """Return what one server says; None if it gives no answer that can be used."""
        self._questions += 1
        if self._questions > MOST_QUESTIONS:
            return None
        query = dns.message.make_query(name, kind, flags=0)
        try:
            answer = await dns.asyncquery.tcp(
                query, address, timeout=ANSWER_SECONDS, port=self._access.port
            )
        except (DNSException, OSError, EOFError):
            return None
        return answer if answer.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN} else None

    async def _addresses_of(self, zone: _Zone) -> list[str]:
        """Return one address of each nameserver, as many as are asked."""
        found: list[str] = []
        for host in _dice.sample(zone.hosts, len(zone.hosts))[: 2 * _MOST_SERVERS]:
            given = zone.glue.get(host) or await self._resolve(host)
            found += [each for each in given if self._access.may_ask(each)][:1]
            if len(found) == _MOST_SERVERS:
                break
        return found

    async def _resolve(self, host: Name) -> Sequence[str]:
        """Return the addresses of a nameserver in another zone; none if they are unknown."""
        if host in self._resolving or len(self._resolving) == _MOST_NESTED:
            return ()
        self._resolving.append(host)
        try:
            for kind in (A, AAAA):
                zone = await self._find_zone(host, kind)
                for answer in await self._ask_all(zone, host, kind):
                    if _is_authoritative(answer) and (found := _addresses_in(answer.answer, host)):
                        return found
        except NoAnswerError:
            return ()
        finally:
            self._resolving.pop()
        return ()


def _name_of(text: str) -> Name:
    try:
        return from_text(text)
    except DNSException:
        raise NoAnswerError(f"{text} is too long to be looked up.") from None


def _root_zone(addresses: Iterable[str]) -> _Zone:
    glue = {from_text(f"{number}.root"): (each,) for number, each in enumerate(addresses)}
    return _Zone(ROOT, tuple(glue), glue, frozenset())


def _is_authoritative(answer: Message) -> bool:
    return bool(answer.flags & dns.flags.AA)


def _referral_in(answer: Message, zone: _Zone, name: Name) -> _Zone | None:
    """Return the zone that an answer refers to, if it lies under the one that was asked.

    An address counts only if the zone that says it is above the server's own.
    """
    if _is_authoritative(answer):
        return None
    for rrset in answer.authority:
        deeper = rrset.name != zone.name and rrset.name.is_subdomain(zone.name)
        if rrset.rdtype == NS and deeper and name.is_subdomain(rrset.name):
            hosts = tuple(each.target for each in rrset)
            own = [host for host in hosts if host.is_subdomain(zone.name)]
            glue = {host: _addresses_in(answer.additional, host) for host in own}
            return _Zone(rrset.name, hosts, glue, zone.path | frozenset(map(_text_of, hosts)))
    return None


def _addresses_in(section: Iterable[RRset], host: Name) -> list[str]:
    """Return a host's addresses, those of IPv4 first."""
    ours = [each for each in section if each.name == host and each.rdtype in {A, AAAA}]
    in_order = sorted(ours, key=lambda rrset: rrset.rdtype != A)
    return [each.address for each in chain.from_iterable(in_order)]


def _texts_in(answer: Message, name: Name) -> frozenset[str]:
    """Return the TXT records of exactly this name, each with its strings joined."""
    return frozenset(
        b"".join(record.strings).decode("ascii", "replace")
        for rrset in answer.answer
        if rrset.name == name and rrset.rdtype == TXT
        for record in rrset
    )


def _has_alias(answer: Message) -> bool:
    return any(rrset.rdtype in {CNAME, DNAME} for rrset in answer.answer)


def _delegation_in(answer: Message, name: Name) -> frozenset[str] | None:
    """Return the nameservers of a name that an answer names; None if it says nothing of them."""
    for rrset in (*answer.answer, *answer.authority):
        if rrset.rdtype == NS and rrset.name == name:
            return frozenset(_text_of(each.target) for each in rrset)
    return frozenset() if _is_authoritative(answer) else None


def _text_of(host: Name) -> str:
    return host.canonicalize().to_text(omit_final_dot=True)


def _silent(zone: _Zone) -> NoAnswerError:
    shown = "the root" if zone.name == ROOT else _text_of(zone.name)
    return NoAnswerError(f"No nameserver of {shown} gives an answer that can be used.")
