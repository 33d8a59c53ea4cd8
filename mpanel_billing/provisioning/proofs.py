"""Check whether buyers have proven that their domains are theirs; what is proven is theirs at once.

The rows say what is due, so a lost check costs a minute. Nameservers are asked outside of any
transaction; what they say counts only while the proof is open.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.authority import (
    ROOT_SERVERS,
    DnsAccess,
    NoAnswerError,
    find_delegation,
    find_texts,
)
from mpanel_billing.domains.names import read_name
from mpanel_billing.domains.proof import (
    Finding,
    OpenProof,
    ProofRules,
    ProvenBy,
    judge_delegation,
    judge_texts,
    next_wait,
)
from mpanel_billing.domains.repository import names
from mpanel_billing.errors import ConflictError
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.provisioning.repository import proofs
from mpanel_billing.provisioning.repository.operations import renew_work
from mpanel_billing.provisioning.tenant import tenant_id
from mpanel_billing.settings import Settings

logger = logging.getLogger(__name__)

Decision = Literal["accept", "reject"]
"""What an operator decides about a domain that has still to be proven."""

PAUSE = timedelta(seconds=20)
"""The shortest time between two checks of a name on demand."""

_MOST = 200
_AT_ONCE = 20
_TAKEN = (
    "{name} was ordered as the buyer's own, and another customer has it now; the tenant keeps its"
    " name in our zone."
)


@dataclass(frozen=True, slots=True)
class ProofChecks:
    """What a check needs: the database, the way to nameservers, and what counts."""

    pool: Pool
    access: DnsAccess
    rules: ProofRules


def proof_rules_of(settings: Settings) -> ProofRules | None:
    """Return what counts as a proof; None if buyers need none."""
    if settings.proof_of_domains == "off":
        return None
    return ProofRules(
        nameservers=settings.domain_nameservers,
        by_delegation=settings.proof_of_domains == "nameservers",
        wait=timedelta(days=settings.domain_proof_days),
    )


def proof_checks_of(settings: Settings, pool: Pool) -> ProofChecks:
    """Return what checks need; what was asked for is checked also if nothing new is."""
    access = DnsAccess(settings.domain_dns_roots or ROOT_SERVERS, settings.domain_dns_port)
    rules = proof_rules_of(settings) or ProofRules(settings.domain_nameservers)
    return ProofChecks(pool, access, rules)


async def check_due(checks: ProofChecks) -> int:
    """Check what is due, and return how many names were proven."""
    async with acquired(checks.pool) as conn:
        due = await proofs.claim_due(conn, _MOST)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def check(proof: OpenProof) -> bool:
        async with turns:
            return (await _check(checks, proof)).proven_by is not None

    return sum(await asyncio.gather(*map(check, due)))


async def check_now(checks: ProofChecks, domain_id: UUID) -> Finding | None:
    """Check one on demand; None if it was checked just before, or is closed."""
    async with acquired(checks.pool) as conn:
        proof = await proofs.claim_one(conn, domain_id, PAUSE)
    return None if proof is None else await _check(checks, proof)


async def _check(checks: ProofChecks, proof: OpenProof) -> Finding:
    finding = await look(checks, proof)
    fields = {"domain": proof.name, "domainId": str(proof.domain_id)}
    if finding.proven_by is not None:
        async with transaction(checks.pool) as conn:
            await settle(conn, proof, finding.proven_by)
        logger.info("a domain was proven", extra={**fields, "by": finding.proven_by})
        return finding
    async with transaction(checks.pool) as conn:
        await names.lock_names(conn, [read_name(proof.name)])
        await proofs.note_checked(conn, checks.rules, proof, finding, next_wait(proof.age))
    logger.debug("not proven yet: %s", finding.missing, extra=fields)
    return finding


async def look(checks: ProofChecks, proof: OpenProof) -> Finding:
    """Ask nameservers for the TXT record, and for the delegation if that may prove it."""
    by_text = await _look_for_texts(checks, proof)
    if by_text.proven_by is not None or not proof.nameservers:
        return by_text
    try:
        by_server = await find_delegation(checks.access, proof.registrable)
    except NoAnswerError as error:
        return Finding(missing=f"{by_text.missing} {error}")
    finding = judge_delegation(proof, checks.rules, by_server)
    if finding.proven_by is not None:
        return finding
    return Finding(
        missing=f"{by_text.missing} {finding.missing}",
        is_elsewhere=finding.is_elsewhere,
        stood_there=finding.stood_there,
    )


async def _look_for_texts(checks: ProofChecks, proof: OpenProof) -> Finding:
    try:
        answer = await find_texts(checks.access, proof.record_name)
    except NoAnswerError as error:
        return Finding(missing=str(error))
    return judge_texts(proof, checks.rules, answer)


async def settle(conn: Connection, proof: OpenProof, proven_by: ProvenBy) -> None:
    """Give a customer the name that they have proven, unless another customer has it by now.

    What others wanted to prove for it is closed, with their tokens. Nothing if the proof was
    closed in the meantime.
    """
    name = read_name(proof.name)
    await names.lock_names(conn, [name])
    claim = await proofs.get_claim(conn, proof)
    if claim is None:
        return
    taken = await names.list_taken(
        conn,
        [name],
        vouched_customer=claim["vouched_customer_id"],
        subscription_id=claim["subscription_id"],
        tenant_id=claim["tenant_id"] or tenant_id(claim["subscription_id"]),
    )
    rivals = [] if taken else await proofs.list_rivals(conn, proof, claim["customer_id"])
    # the rows of the work before those of domains, as the runs lock them
    await _trigger(conn, {claim["subscription_id"], *(each["subscription_id"] for each in rivals)})
    if taken:
        await proofs.refuse(conn, [proof.domain_id], _TAKEN)
        return
    await proofs.prove(conn, proof.domain_id, proven_by)
    await proofs.refuse(conn, [each["id"] for each in rivals], _TAKEN)


async def _trigger(conn: Connection, subscription_ids: set[UUID]) -> None:
    for subscription_id in sorted(subscription_ids):
        version = await renew_work(conn, subscription_id)
        if version is not None:
            await enqueue_provisioning(conn, [(subscription_id, version)])


async def get_waiting(pool: Pool, domain_id: UUID) -> asyncpg.Record:
    """Return a domain whose buyer has still to prove it; ConflictError for any other."""
    async with acquired(pool) as conn:
        return await _require_waiting(conn, domain_id)


async def _require_waiting(conn: Connection, domain_id: UUID) -> asyncpg.Record:
    waiting = await proofs.get_waiting(conn, domain_id)
    if waiting is None:
        raise ConflictError("It no longer has to be proven.", code="nothing_to_prove")
    return waiting


async def decide_proof(
    pool: Pool, by: Actor, domain_id: UUID, decision: Decision, reason: str
) -> None:
    """Count a domain as proven without what was asked for, or end the wait, and record why.

    ConflictError if it does not have to be proven any more.
    """
    async with transaction(pool) as conn:
        waiting = await _require_waiting(conn, domain_id)
        if decision == "accept":
            await accept(conn, domain_id)
        else:
            await reject(conn, domain_id, waiting["subscription_id"])
        target = Target("customer", str(waiting["customer_id"]))
        details = {"domain": waiting["name"], "reason": reason}
        await audit.record(conn, by, f"domain.{decision}", target, details)


async def accept(conn: Connection, domain_id: UUID) -> None:
    """Count a name as proven, because an operator has seen another proof."""
    proof = await proofs.get_open(conn, domain_id)
    if proof is None:
        raise ConflictError("It no longer has to be proven.")
    await settle(conn, proof, "operator")


async def reject(conn: Connection, domain_id: UUID, subscription_id: UUID) -> None:
    """End the wait for a proof: the tenant keeps its name in our zone."""
    await _trigger(conn, {subscription_id})
    await proofs.refuse(conn, [domain_id], None)
