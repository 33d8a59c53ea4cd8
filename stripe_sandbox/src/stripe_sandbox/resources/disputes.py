"""`/v1/disputes` and `/v1/radar/early_fraud_warnings`."""

from stripe.params import (
    DisputeCloseParams,
    DisputeListParams,
    DisputeRetrieveParams,
    DisputeUpdateParams,
)
from stripe.params.radar import EarlyFraudWarningListParams, EarlyFraudWarningRetrieveParams

from stripe_sandbox.billing.disputes import KIND, answer_dispute, decide_dispute, refuse_closed
from stripe_sandbox.billing.files import check_papers
from stripe_sandbox.billing.warnings import KIND as WARNING
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import supports

MOST_EVIDENCE = 150_000
"""Characters of all texts together: API reference, dispute evidence."""


def update(call: Call) -> Document:
    """Stage evidence, and submit it unless `submit` is false; or update the metadata."""
    world = call.world
    dispute = world.find(KIND, call.id)
    if "metadata" in call.params:
        dispute["metadata"] = merge_metadata(dispute["metadata"], call.params["metadata"])
    if "evidence" not in call.params and not call.get("submit"):
        return world.change(dispute, event="charge.dispute.updated")
    evidence = call.get("evidence", {})
    check_papers(world, _papers(evidence))
    if sum(len(text) for text in evidence.values() if isinstance(text, str)) > MOST_EVIDENCE:
        message = f"The combined character count of all evidence is limited to {MOST_EVIDENCE}."
        raise invalid(message, param="evidence")
    return answer_dispute(world, dispute, evidence, submits=call.get("submit", True))


def _papers(evidence: ReadOnly) -> dict[str, str]:
    """Return the files in evidence, by their param."""
    named = {f"evidence[{name}]": evidence[name] for name in PAPERS if evidence.get(name)}
    card = (evidence.get("appeal") or {}).get("card") or {}
    path = "evidence[appeal][card][supporting_files]"
    appeal = {f"{path}[{i}]": one for i, one in enumerate(card.get("supporting_files") or [])}
    return named | appeal


def close(call: Call) -> Document:
    """Accept a dispute: it is lost."""
    dispute = call.world.find(KIND, call.id)
    refuse_closed(dispute)
    return decide_dispute(call.world, dispute, "lost")


PATH = "/disputes"
ONE = f"{PATH}/{{id}}"
WARNINGS = "/radar/early_fraud_warnings"
PAPERS = (
    "cancellation_policy",
    "customer_communication",
    "customer_signature",
    "duplicate_charge_documentation",
    "receipt",
    "refund_policy",
    "service_documentation",
    "shipping_documentation",
    "uncategorized_file",
)
"""Evidence that is a file."""

EVIDENCE = supports(
    *PAPERS,
    "access_activity_log",
    "billing_address",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_tracking_number",
    "uncategorized_text",
    appeal=supports(card=supports("reason_for_filing", "supporting_files")),
)

OPERATIONS = (
    Operation(
        "GET",
        PATH,
        DisputeListParams,
        listing(KIND),
        supports("charge", "created", "payment_intent"),
    ),
    Operation("GET", ONE, DisputeRetrieveParams, retrieve(KIND)),
    Operation(
        "POST", ONE, DisputeUpdateParams, update, supports("metadata", "submit", evidence=EVIDENCE)
    ),
    Operation("POST", f"{ONE}/close", DisputeCloseParams, close),
    Operation(
        "GET",
        WARNINGS,
        EarlyFraudWarningListParams,
        listing(WARNING),
        supports("charge", "created", "payment_intent"),
    ),
    Operation("GET", f"{WARNINGS}/{{id}}", EarlyFraudWarningRetrieveParams, retrieve(WARNING)),
)
