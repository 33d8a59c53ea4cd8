"""Proofs of domains, as mPanel's backend sees them: what a customer has to do, and a check now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self
from uuid import UUID

import asyncpg

from mpanel_billing.database.pool import acquired
from mpanel_billing.domains.proof import ProvenBy
from mpanel_billing.errors import BillingError, ConflictError, NotFoundError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.proofs import PAUSE, ProofChecks, check_now
from mpanel_billing.provisioning.repository import proofs
from mpanel_billing.subscriptions.lookup import CustomerRef, may_reach


class CheckedJustNowError(BillingError):
    """The nameservers of a domain were asked a moment ago."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "checked_just_now"


@dataclass(frozen=True, slots=True)
class DomainProof:
    """A domain that has or had to be proven; `proof` says what is to be done, if anything."""

    id: UUID
    name: str
    unicode_name: str
    state: str
    proven_at: datetime | None
    proven_by: ProvenBy | None
    proof: Mapping[str, Any] | None

    @classmethod
    def of_row(cls, row: asyncpg.Record) -> Self:
        """Read a row of `get_progress`."""
        return cls(*(row[name] for name in cls.__slots__))


async def get_proof(mirror: Mirror, domain_id: UUID, named: CustomerRef) -> DomainProof:
    """Return how far the proof of a customer's domain is.

    NotFoundError for a domain that had not to be proven, or is another customer's.
    """
    return DomainProof.of_row(await _read(mirror, domain_id, named))


async def verify_now(
    mirror: Mirror, checks: ProofChecks, domain_id: UUID, named: CustomerRef
) -> DomainProof:
    """Ask nameservers for the proof of a customer's domain now, and return how far it is.

    ConflictError if nothing is to be proven, CheckedJustNowError if they were asked just before.
    """
    before = await _read(mirror, domain_id, named)
    if before["proof"] is None:
        raise ConflictError(
            f"{before['unicode_name']} does not have to be proven.", code="nothing_to_prove"
        )
    if await check_now(checks, domain_id) is None:
        raise CheckedJustNowError(
            f"{before['unicode_name']} was checked just now. Please try again in a moment.",
            retry_after=round(PAUSE.total_seconds()),
        )
    return await get_proof(mirror, domain_id, named)


async def _read(mirror: Mirror, domain_id: UUID, named: CustomerRef) -> asyncpg.Record:
    async with acquired(mirror.pool) as conn:
        row = await proofs.get_progress(conn, domain_id, livemode=mirror.livemode)
        if row is None or not await may_reach(conn, named, row["customer_id"]):
            raise NotFoundError("Domain not found.", code="unknown_domain")
    return row
