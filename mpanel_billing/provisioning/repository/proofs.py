"""Proofs that a domain is its buyer's own, in PostgreSQL."""

import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.proof import Finding, OpenProof, ProofRules, ProvenBy
from mpanel_billing.domains.repository.names import AskedProof

_queries = load_queries("proofs")


async def ask_proof(conn: Connection, rules: ProofRules, name: DomainName) -> AskedProof:
    """Return what a buyer is asked for; the name is locked until the transaction ends."""
    nameservers = await _choose(conn, rules, name.registrable)
    return AskedProof(name.ascii, secrets.token_hex(16), nameservers, rules.wait.total_seconds())


async def _choose(
    conn: Connection,
    rules: ProofRules,
    registrable: str,
    also_given: Collection[frozenset[str]] = (),
) -> tuple[str, ...]:
    rows = await _queries.list_given.fetch(conn, registrable=[registrable])
    given = {frozenset(row["nameservers"]) for row in rows}
    return rules.choose({*given, *also_given})


async def claim_due(conn: Connection, most: int) -> list[OpenProof]:
    """Take proofs that are due; if this process dies, another takes them in five minutes."""
    rows = await _queries.claim_due.fetch(conn, most=most)
    return await _list_open(conn, [row["domain_id"] for row in rows])


async def claim_one(conn: Connection, domain_id: UUID, pause: timedelta) -> OpenProof | None:
    """Take a proof; None if it was checked less than a pause ago, or is closed."""
    claimed = await _queries.claim_one.fetch_value(
        conn, domain_id=domain_id, seconds=pause.total_seconds()
    )
    return await get_open(conn, claimed) if claimed else None


async def get_open(conn: Connection, domain_id: UUID) -> OpenProof | None:
    """Return a proof that is open."""
    found = await _list_open(conn, [domain_id])
    return found[0] if found else None


async def get_waiting(conn: Connection, domain_id: UUID) -> asyncpg.Record | None:
    """Return a domain whose buyer has still to prove it; None for any other."""
    return await _queries.get_waiting.fetch_one(conn, domain_id=domain_id)


async def _list_open(conn: Connection, domain_ids: Sequence[UUID]) -> list[OpenProof]:
    rows = await _queries.list_open.fetch(conn, domain_ids=list(domain_ids))
    return [OpenProof(**{**row, "nameservers": frozenset(row["nameservers"])}) for row in rows]


async def note_checked(
    conn: Connection, rules: ProofRules, proof: OpenProof, finding: Finding, wait: timedelta
) -> None:
    """Store what is missing, and when it is checked next.

    A buyer whose name was delegated to their nameservers before is given others, if there are any.
    """
    nameservers = None
    if finding.stood_there and not rules.is_shared:
        nameservers = await _choose(conn, rules, proof.registrable, [proof.nameservers])
    await _queries.note_checked.execute(
        conn,
        domain_id=proof.domain_id,
        token=proof.token,
        missing=finding.missing,
        is_elsewhere=finding.is_elsewhere,
        nameservers=None if nameservers is None else list(nameservers),
        seconds=wait.total_seconds(),
    )


async def get_claim(conn: Connection, proof: OpenProof) -> asyncpg.Record | None:
    """Return who would get the name; None if the proof is closed."""
    return await _queries.get_claim.fetch_one(conn, domain_id=proof.domain_id, token=proof.token)


async def list_rivals(
    conn: Connection, proof: OpenProof, customer_id: UUID | None
) -> Sequence[asyncpg.Record]:
    """Return what others want to prove, and cannot have once this one has the name."""
    return await _queries.list_rivals.fetch(
        conn,
        domain_id=proof.domain_id,
        name=proof.name,
        registrable=proof.registrable,
        customer_id=customer_id,
    )


async def prove(conn: Connection, domain_id: UUID, proven_by: ProvenBy) -> None:
    """Store that a name is proven: it is held from now on."""
    await _queries.prove.fetch_value(conn, domain_id=domain_id, proven_by=proven_by)


async def refuse(conn: Connection, domain_ids: Collection[UUID], trouble: str | None) -> None:
    """Store that names cannot be obtained; `trouble`, with `{name}`, is for an operator."""
    await _queries.refuse.fetch(conn, domain_ids=list(domain_ids), trouble=trouble)


async def list_of_name(
    conn: Connection, name: DomainName, customer_id: UUID | None
) -> Sequence[asyncpg.Record]:
    """Return who has still to prove a name: a customer, or all."""
    return await _queries.list_of_name.fetch(
        conn, name=name.ascii, registrable=name.registrable, customer_id=customer_id
    )


async def get_progress(
    conn: Connection, domain_id: UUID, *, livemode: bool
) -> asyncpg.Record | None:
    """Return how far the proof of a domain is; None if none was asked for."""
    return await _queries.get_progress.fetch_one(conn, domain_id=domain_id, livemode=livemode)
