"""Nobody proves a name that is not theirs, in 200 generated attempts."""

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import cast
from uuid import UUID

from dns.rdatatype import CNAME, NS, TXT, A

from mpanel_billing.database.pool import Pool
from mpanel_billing.domains.names import read_name
from mpanel_billing.domains.proof import OpenProof, ProofRules
from mpanel_billing.provisioning.proofs import ProofChecks, look
from tests.nameservers import ADDRESSES, OURS, REGISTRY, NameServers

NO_POOL = cast("Pool", None)  # nameservers are asked without the database
LABEL = "_mpanel-verification"
VICTIM, ATTACKER, STRAY = "127.0.0.3", "127.0.0.4", "127.0.0.5"
SHARED = ProofRules(OURS[:2], by_delegation=True)
NAMES = ("ada.com", "shop.ada.com", "xn--bcher-kva.com", "ada.net")

Attempt = Callable[[NameServers, OpenProof, random.Random], None]


def open_proof(name: str, dice: random.Random) -> OpenProof:
    token = f"{dice.getrandbits(128):032x}"
    return OpenProof(
        domain_id=UUID(int=dice.getrandbits(128)),
        name=name,
        registrable=read_name(name).registrable,
        token=token,
        record_name=f"{LABEL}.{name}",
        record_value=f"mpanel-verification={token}",
        nameservers=frozenset(SHARED.nameservers),
        was_elsewhere=False,
        has_rivals=False,
        age=timedelta(0),
    )


def put_value(world: NameServers, address: str, zone: str, name: str, proof: OpenProof) -> None:
    world.put(address, zone, name, TXT, f'"{proof.record_value}"')


def beside(world: NameServers, proof: OpenProof, dice: random.Random) -> None:
    """Publish it under a name that the attacker has: a look-alike, a longer one, one above."""
    label, _, parent = proof.registrable.partition(".")
    own = dice.choice((f"{label}-1.{parent}", f"x{label}.{parent}", f"{label}.org"))
    world.host(own, ATTACKER)
    put_value(world, ATTACKER, own, f"{LABEL}.{own}", proof)
    put_value(world, ATTACKER, own, f"{LABEL}.{proof.name}.{own}", proof)


def below(world: NameServers, proof: OpenProof, dice: random.Random) -> None:
    """Publish it in what the owner lets others write: names under theirs."""
    zone, label = proof.registrable, dice.choice(("user1", "www", "a.b", "proof"))
    put_value(world, VICTIM, zone, f"{label}.{proof.name}", proof)
    put_value(world, VICTIM, zone, f"{LABEL}.{label}.{proof.name}", proof)


def at_the_name(world: NameServers, proof: OpenProof, _: random.Random) -> None:
    """Publish it at the name itself."""
    put_value(world, VICTIM, proof.registrable, proof.name, proof)


def by_alias(world: NameServers, proof: OpenProof, dice: random.Random) -> None:
    """The owner's wildcard points to a service in which the attacker can write."""
    world.host("service.org", ATTACKER)
    put_value(world, ATTACKER, "service.org", "any.service.org", proof)
    source = dice.choice((f"*.{proof.name}", proof.record_name))
    world.put(VICTIM, proof.registrable, source, CNAME, "any.service.org.")


def nearly(world: NameServers, proof: OpenProof, dice: random.Random) -> None:
    """A value that is only similar, as a wildcard of others has it, or another token."""
    value, place = proof.record_value, dice.randrange(20, 50)
    changed = dice.choice(
        (value.upper(), value[:place], f"{value}{dice.randrange(10)}", f"x{value}", proof.token)
    )
    world.put(VICTIM, proof.registrable, proof.record_name, TXT, f'"{changed}"', '"v=spf1 -all"')


def by_a_stray_server(world: NameServers, proof: OpenProof, dice: random.Random) -> None:
    """One of the owner's nameservers is in other hands."""
    world.host(proof.registrable, *dice.sample((VICTIM, STRAY), 2))
    put_value(world, STRAY, proof.registrable, proof.record_name, proof)


def by_glue(world: NameServers, proof: OpenProof, _: random.Random) -> None:
    """The registry is told a false address of a nameserver in another zone."""
    world.delegate(proof.registrable, {"ns.safe.org": ""})
    world.host("safe.org", STRAY)
    world.put(STRAY, "safe.org", "ns.safe.org", A, VICTIM)
    world.put(REGISTRY, proof.registrable.partition(".")[2], "ns.safe.org", A, ATTACKER)
    put_value(world, ATTACKER, proof.registrable, proof.record_name, proof)


def left_to_us(world: NameServers, proof: OpenProof, _: random.Random) -> None:
    """A former customer has left it delegated to us, and the attacker writes in our panel."""
    world.delegate(proof.registrable, dict.fromkeys(SHARED.nameservers, ""))
    ours = ADDRESSES[-1]
    put_value(world, ours, proof.registrable, proof.record_name, proof)


def onwards_from_us(world: NameServers, proof: OpenProof, dice: random.Random) -> None:
    """The same, and our servers are made to refer to the attacker's."""
    left_to_us(world, proof, dice)
    ours, zone = ADDRESSES[-1], proof.registrable
    world.drop(ours, zone, proof.record_name, TXT)
    world.put(ours, zone, proof.record_name, NS, f"ns.{proof.record_name}.")
    world.put(ours, zone, f"ns.{proof.record_name}", A, ATTACKER)
    put_value(world, ATTACKER, proof.record_name, proof.record_name, proof)


WAYS: tuple[Attempt, ...] = (
    *(beside, below, at_the_name, by_alias, nearly),
    *(by_a_stray_server, by_glue, left_to_us, onwards_from_us),
)


async def test_none_of_200_attempts_proves_anothers_name(nameservers: NameServers) -> None:
    dice = random.Random(50)
    checks = ProofChecks(NO_POOL, nameservers.access, SHARED)
    before = copy.deepcopy(nameservers.zones)
    for number in range(200):
        nameservers.zones = copy.deepcopy(before)
        proof = open_proof(dice.choice(NAMES), dice)
        nameservers.host(proof.registrable, VICTIM)
        nameservers.put(VICTIM, proof.registrable, proof.registrable, TXT, '"v=spf1 -all"')
        way = WAYS[number % len(WAYS)]
        way(nameservers, proof, dice)
        finding = await look(checks, proof)
        assert finding.proven_by is None, (way.__name__, proof)
        # the same world, once the owner publishes it
        nameservers.zones[VICTIM].clear()
        nameservers.host(proof.registrable, VICTIM)
        put_value(nameservers, VICTIM, proof.registrable, proof.record_name, proof)
        found = await look(checks, replace(proof, was_elsewhere=True))
        assert found.proven_by == "txt", (way.__name__, found)
