"""Bodies of /api/billing/disputes. Amounts are in minor units, times in UTC."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import asyncpg
from pydantic import Field

from mpanel_billing.http.schemas.base import MOST_ROWS, Moment, OwnerRequest, Response, Schema
from mpanel_billing.subscriptions.disputes import Evidence
from mpanel_billing.subscriptions.evidence import MOST, EvidenceField
from mpanel_billing.subscriptions.repository.disputes import Wanted

EvidenceText = Annotated[str, Field(min_length=1, max_length=MOST)]


class DisputesQuery(OwnerRequest):
    """Which disputes: with `open` those to be answered; those after the last of the page before."""

    open: bool = False
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25
    after: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")] | None = None

    @property
    def wanted(self) -> Wanted:
        """What to list: one more than the page has."""
        return Wanted(only_open=self.open, after=self.after, most=self.limit + 1)


class EvidenceRequest(OwnerRequest):
    """Evidence in your own words, by Stripe's fields, beside what the records say.

    With `submit` it is sent to the bank, which takes it once; without it, it is a draft at Stripe.
    """

    fields: dict[EvidenceField, EvidenceText] = Field(default_factory=dict)
    submit: Annotated[bool, Field(strict=True)] = False


class DisputeSchema(Schema):
    """A dispute; `id`, `status` and `reason` are Stripe's.

    `evidence` is none, staged or submitted. `waivedReason` says why the subscription goes on
    despite it.
    """

    id: str
    status: str
    reason: str
    amount: int
    currency: str
    fee: int
    fee_currency: str | None
    is_charge_refundable: bool
    evidence_due_at: Moment | None
    evidence: Literal["none", "staged", "submitted"]
    stripe_charge_id: str
    invoice_id: UUID | None
    subscription_id: UUID | None
    waived_reason: str | None
    created_at: Moment

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Build the object from a row of `list_disputes`."""
        same = cls.model_fields.keys() & set(row.keys())
        return cls(
            **{name: row[name] for name in same},
            id=row["stripe_dispute_id"],
            evidence=_state_of_evidence(row),
            created_at=row["stripe_created"],
        )


def _state_of_evidence(row: Mapping[str, Any] | asyncpg.Record) -> Any:
    if row["submissions"] > 0:
        return "submitted"
    return "staged" if row["has_evidence"] else "none"


class DisputeResponse(Response):
    """One dispute."""

    dispute: DisputeSchema


class DisputesResponse(Response):
    """A page of disputes, the latest first, or, of open ones, the most urgent first."""

    disputes: tuple[DisputeSchema, ...]
    has_more: bool = Field(description="Whether there are more after the last.")

    @classmethod
    def of(cls, rows: Sequence[asyncpg.Record], limit: int) -> Self:
        """Build the response from one row more than the page has."""
        page = tuple(DisputeSchema.of(row) for row in rows[:limit])
        return cls(disputes=page, has_more=len(rows) > limit)


class EvidenceResponse(DisputeResponse):
    """The evidence as it is at Stripe, by field, and the dispute."""

    fields: dict[str, str]
    submitted: bool

    @classmethod
    def of(cls, evidence: Evidence, row: asyncpg.Record) -> Self:
        """Build the response from what was staged or submitted."""
        return cls(
            fields=dict(evidence.fields),
            submitted=evidence.submitted,
            dispute=DisputeSchema.of(row),
        )
