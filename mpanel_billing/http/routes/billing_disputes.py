"""/api/billing/disputes: what banks dispute, and the evidence that answers them."""

from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import DisputePath
from mpanel_billing.http.schemas.base import OwnerQuery
from mpanel_billing.http.schemas.disputes import (
    DisputeResponse,
    DisputeSchema,
    DisputesQuery,
    DisputesResponse,
    EvidenceRequest,
    EvidenceResponse,
)
from mpanel_billing.subscriptions.disputes import get_dispute, give_evidence, list_disputes_of

routes = Endpoints("billing")

MAX_BODY_BYTES = 1024 * 1024
"""Stripe takes 150,000 letters of evidence, each of up to four bytes."""


@routes.endpoint(
    "GET",
    "/api/billing/disputes",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_customer",), InvalidRequestError: ("invalid_request",)},
)
async def get_all(call: KeyedCall[None, DisputesQuery]) -> DisputesResponse:
    """Return the disputes of a customer, or of all, in pages."""
    query = call.query
    rows = await list_disputes_of(call.app[keys.MIRROR], query.named, query.wanted)
    return DisputesResponse.of(rows, query.limit)


@routes.endpoint(
    "GET",
    "/api/billing/disputes/{id}",
    scope="billing:read",
    refusals={NotFoundError: ("not_found", "unknown_customer", "unknown_dispute")},
)
async def get_one(call: KeyedCall[DisputePath, OwnerQuery]) -> DisputeResponse:
    """Return one dispute."""
    row = await get_dispute(call.app[keys.MIRROR], call.path.id, call.query.named)
    return DisputeResponse(dispute=DisputeSchema.of(row))


@routes.endpoint(
    "POST",
    "/api/billing/disputes/{id}/evidence",
    scope="billing:refund",
    body_optional=True,
    most_bytes=MAX_BODY_BYTES,
    calls_stripe=True,
    refusals={
        NotFoundError: ("not_found", "unknown_customer", "unknown_dispute"),
        ConflictError: ("evidence_not_taken", "change_in_progress"),
    },
)
async def post_evidence(
    call: KeyedCall[DisputePath, None, EvidenceRequest],
) -> EvidenceResponse:
    """Stage evidence from the records at Stripe; with `submit` send it to the bank, once."""
    mirror, body, id_ = call.app[keys.MIRROR], call.body, call.path.id
    await get_dispute(mirror, id_, body.named)
    given = {str(name): text for name, text in body.fields.items()}
    done = await give_evidence(mirror, id_, given, call.actor, submit=body.submit)
    return EvidenceResponse.of(done, await get_dispute(mirror, id_, body.named))
