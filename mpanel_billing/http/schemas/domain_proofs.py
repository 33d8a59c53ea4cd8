"""Proofs that a domain is its buyer's own, in responses."""

from typing import Literal, Self

from mpanel_billing.http.schemas.base import Moment, Response, Schema
from mpanel_billing.subscriptions.domain_proofs import DomainProof


class DomainProofSchema(Schema):
    """What proves that a domain is its buyer's: the record, or a delegation to `nameservers`.

    `missing` is what the last check did not find; `nextCheckAt` null: only checked on request.
    """

    record_name: str
    record_type: Literal["TXT"]
    record_value: str
    nameservers: tuple[str, ...]
    checked_at: Moment | None
    next_check_at: Moment | None
    expires_at: Moment
    missing: str | None


class ProvenDomainSchema(Schema):
    """A domain that has or had to be proven; `proof` is null once nothing is to be done."""

    id: str
    name: str
    unicode_name: str
    state: str
    proven_at: Moment | None
    proven_by: Literal["txt", "nameservers", "operator"] | None
    proof: DomainProofSchema | None


class DomainProofResponse(Response):
    """How far the proof of a domain is."""

    domain: ProvenDomainSchema

    @classmethod
    def of(cls, found: DomainProof) -> Self:
        """Build the response."""
        return cls(
            domain=ProvenDomainSchema(
                id=str(found.id),
                name=found.name,
                unicode_name=found.unicode_name,
                state=found.state,
                proven_at=found.proven_at,
                proven_by=found.proven_by,
                proof=DomainProofSchema.model_validate(found.proof) if found.proof else None,
            )
        )
