"""/api/billing/domains/:id/proof: whether a domain is proven to be its buyer's own."""

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery
from mpanel_billing.http.schemas.domain_proofs import DomainProofResponse, VerifyRequest
from mpanel_billing.provisioning.proofs import proof_checks_of
from mpanel_billing.subscriptions.domain_proofs import CheckedJustNowError, get_proof, verify_now

routes = Endpoints("billing")


@routes.endpoint(
    "GET",
    "/api/billing/domains/{id}/proof",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_customer", "unknown_domain")},
)
async def get_one(call: KeyedCall[IdPath, OwnerQuery]) -> DomainProofResponse:
    """Return what a customer has to do to prove that a domain is theirs, or that it is proven."""
    mirror = call.app[keys.MIRROR]
    return DomainProofResponse.of(await get_proof(mirror, call.path.id, call.query.named))


@routes.endpoint(
    "POST",
    "/api/billing/domains/{id}/verify",
    scope="billing:change",
    body_optional=True,
    refusals={
        NotFoundError: ("unknown_customer", "unknown_domain"),
        ConflictError: ("nothing_to_prove",),
        CheckedJustNowError: (),
    },
)
async def post_verify(call: KeyedCall[IdPath, None, VerifyRequest]) -> DomainProofResponse:
    """Ask the domain's nameservers for the proof now; at most every 20 seconds."""
    mirror = call.app[keys.MIRROR]
    checks = proof_checks_of(call.app[keys.SETTINGS], mirror.pool)
    return DomainProofResponse.of(await verify_now(mirror, checks, call.path.id, call.body.named))
