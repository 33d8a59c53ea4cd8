"""Disputes at Stripe: their evidence is staged, and submitted once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    from stripe.params import DisputeUpdateParams


@dataclass(frozen=True, slots=True)
class ListedDispute:
    """A dispute as Stripe lists it."""

    id: str
    status: str


async def list_disputes(gateway: StripeGateway, payment_intent_id: str) -> Sequence[ListedDispute]:
    """Return the disputes of a payment, the latest hundred at most."""
    async with translated():
        page = await gateway.client.v1.disputes.list_async(
            {"payment_intent": payment_intent_id, "limit": PAGE_SIZE}
        )
    return [ListedDispute(one.id, str(one.status)) for one in page.data]


@dataclass(frozen=True, slots=True)
class StagedEvidence:
    """The texts of a dispute's evidence, without empty ones, and how often it was submitted."""

    texts: Mapping[str, str]
    status: str
    submissions: int


async def get_evidence(gateway: StripeGateway, dispute_id: str) -> StagedEvidence:
    """Return the evidence of a dispute as it is at Stripe."""
    async with translated():
        dispute = await gateway.client.v1.disputes.retrieve_async(dispute_id)
    found = dispute.to_dict()
    evidence = found.get("evidence") or {}
    texts = {name: text for name, text in evidence.items() if isinstance(text, str) and text}
    details = found.get("evidence_details") or {}
    return StagedEvidence(texts, str(found["status"]), details.get("submission_count") or 0)


async def send_evidence(
    gateway: StripeGateway,
    dispute_id: str,
    evidence: Mapping[str, str],
    *,
    submit: bool,
    key: str,
) -> None:
    """Stage evidence, or submit it to the bank: Stripe takes it once."""
    params: dict[str, Any] = {"evidence": dict(evidence), "submit": submit}
    async with translated():
        await gateway.client.v1.disputes.update_async(
            dispute_id, cast("DisputeUpdateParams", params), {"idempotency_key": key}
        )
