"""Disputes: chargebacks and inquiries, from their beginning to their end."""

from stripe_sandbox.billing.balance import DISPUTE_FEE, Movement, add_transaction
from stripe_sandbox.billing.later import drop_task, plan_task
from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.billing.warnings import settle_warnings
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

KIND = "dispute"
RESPONSE_DAYS = 20
INQUIRY_LIFETIME_DAYS = 120
APPEAL_DAYS = 10

NETWORK_CODES = {
    "credit_not_processed": "13.6",
    "duplicate": "12.6",
    "fraudulent": "10.4",
    "product_not_received": "13.1",
    "product_unacceptable": "13.3",
    "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}
"""Visa's codes: docs.stripe.com/disputes/categories."""

OPEN = frozenset({"appeal_needs_response", "appeal_under_review", "needs_response", "under_review"})
INQUIRIES = frozenset({"warning_needs_response", "warning_under_review"})
ANSWERABLE = frozenset({"appeal_needs_response", "needs_response", "warning_needs_response"})
REVIEWED = {
    "appeal_needs_response": "appeal_under_review",
    "needs_response": "under_review",
    "warning_needs_response": "warning_under_review",
}
"""The status after evidence has been submitted."""

APPEALABLE = frozenset({"lost", "under_review"})
MAGIC = {
    "escalate_inquiry_evidence": "escalated",
    "losing_evidence": "lost",
    "winning_evidence": "won",
}
"""Evidence texts that decide a dispute at once: docs.stripe.com/testing."""


def open_dispute(
    world: World, charge: ReadOnly, *, reason: str, status: str, amount: int | None = None
) -> Document:
    """Store a dispute of a charge; a chargeback takes the money and a fee at once.

    `status` is `needs_response`, `warning_needs_response` for an inquiry, or `prevented`.
    """
    inquiry = status.startswith("warning_")
    dispute = world.add(
        {
            "id": world.ids.next("du"),
            "object": KIND,
            "amount": amount or charge["amount_captured"],
            "balance_transactions": [],
            "charge": charge["id"],
            "created": world.time_of(charge),
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": _first_evidence(world, charge),
            "evidence_details": _evidence_details(world, charge, status),
            "is_charge_refundable": inquiry,
            "livemode": False,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "payment_method_details": _method_details(charge, reason, status),
            "reason": reason,
            "status": status,
        }
    )
    _mark_charge(world, dispute)
    if status == "needs_response":
        _withdraw(world, dispute)
    dispute = world.save(dispute)
    world.announce("charge.dispute.created", dispute)
    if status == "needs_response":
        world.announce("charge.dispute.funds_withdrawn", dispute)
    if status in ANSWERABLE:
        days = INQUIRY_LIFETIME_DAYS if inquiry else RESPONSE_DAYS
        _plan_end(world, dispute, days)
    return dispute


def _first_evidence(world: World, charge: ReadOnly) -> Document:
    customer = world.store.peek("customer", charge["customer"] or "")
    return {
        "customer_email_address": customer["email"] if customer else None,
        "customer_name": charge["billing_details"]["name"],
        "enhanced_evidence": {},
    }


def _evidence_details(world: World, charge: ReadOnly, status: str) -> Document:
    due = world.time_of(charge) + RESPONSE_DAYS * DAY
    return {
        "due_by": due if status in ANSWERABLE else None,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
        "submission_method": "not_submitted",
    }


def _method_details(charge: ReadOnly, reason: str, status: str) -> Document | None:
    """Return what the network says of a dispute; banks say nothing of debits."""
    kind = charge["payment_method_details"]["type"]
    if kind != "card":
        return None
    case = {"prevented": "resolution", "warning_needs_response": "inquiry"}
    brand = charge["payment_method_details"]["card"]["brand"]
    code = NETWORK_CODES.get(reason)
    if status == "warning_needs_response" and reason == "fraudulent":
        code = "10"
    card = {"brand": brand, "network": brand, "network_reason_code": code}
    return {"card": {**card, "case_type": case.get(status, "chargeback")}, "type": "card"}


def _mark_charge(world: World, dispute: ReadOnly) -> None:
    charge = world.find("charge", dispute["charge"])
    charge["disputed"] = True
    settle_warnings(world, world.change(charge))


def _plan_end(world: World, dispute: ReadOnly, days: int) -> None:
    clock = world.clock_of(world.find("charge", dispute["charge"]))
    plan_task(world, "lapse_dispute", dispute, days * DAY, clock=clock)


def _withdraw(world: World, dispute: Document) -> None:
    """Take the disputed amount and the fee from the balance."""
    movement = Movement(
        kind="adjustment",
        amount=-dispute["amount"],
        currency=dispute["currency"],
        source=dispute["id"],
        description=f"Chargeback withdrawal for {dispute['charge']}",
        category="dispute",
        fees=(("Dispute fee", DISPUTE_FEE),),
        at_once=True,
    )
    _move(world, dispute, movement)


def _reinstate(world: World, dispute: Document) -> None:
    """Give the amount and the fee back."""
    movement = Movement(
        kind="adjustment",
        amount=dispute["amount"],
        currency=dispute["currency"],
        source=dispute["id"],
        description=f"Chargeback reversal for {dispute['charge']}",
        category="dispute_reversal",
        fees=(("Dispute fee refund", -DISPUTE_FEE),),
        at_once=True,
    )
    _move(world, dispute, movement)


def _move(world: World, dispute: Document, movement: Movement) -> None:
    charge = world.find("charge", dispute["charge"])
    transaction = add_transaction(world, movement, world.time_of(charge))
    dispute["balance_transactions"].append(transaction)


def answer_dispute(
    world: World, dispute: Document, evidence: ReadOnly, *, submits: bool
) -> Document:
    """Stage evidence, and send it to the bank if `submits`: that can be done once.

    Raises ApiError if the dispute takes no more evidence.
    """
    refuse_closed(dispute)
    _refuse_other_stage(dispute, evidence)
    dispute["evidence"] |= evidence
    details = dispute["evidence_details"]
    details["has_evidence"] = details["has_evidence"] or any(evidence.values())
    if not submits:
        return world.change(dispute, event="charge.dispute.updated")
    details |= {"submission_count": details["submission_count"] + 1, "submission_method": "manual"}
    dispute["status"] = REVIEWED[dispute["status"]]
    dispute = world.change(dispute, event="charge.dispute.updated")
    drop_task(world, "lapse_dispute", dispute["id"])
    if dispute["status"] == "appeal_under_review":
        return dispute
    outcome = MAGIC.get(str(dispute["evidence"]["uncategorized_text"]))
    return decide_dispute(world, dispute, outcome) if outcome else dispute


def _refuse_other_stage(dispute: ReadOnly, evidence: ReadOnly) -> None:
    """Raise ApiError for an appeal before its time, or for other evidence with one.

    Source: changelog of 2026-10-28.endive, evidence of appeals.
    """
    appeals = dispute["status"] == "appeal_needs_response"
    for name in evidence:
        if (name == "appeal") != appeals:
            message = (
                "Only appeal evidence can be submitted while the dispute is being appealed."
                if appeals
                else "Appeal evidence can only be submitted for disputes with a status of "
                "`appeal_needs_response`."
            )
            raise invalid(message, param=f"evidence[{name}]")


def refuse_closed(dispute: ReadOnly) -> None:
    """Raise ApiError unless the dispute still waits for an answer."""
    if dispute["status"] in ANSWERABLE:
        return
    if dispute["status"] in REVIEWED.values():
        raise ApiError(400, "You have already submitted evidence for this dispute.")
    raise ApiError(400, "This dispute is already closed")


def decide_dispute(world: World, dispute: Document, outcome: str) -> Document:
    """End a dispute as `won` or `lost`, or turn an inquiry into a chargeback (`escalated`).

    `appealable` lets the bank decide against the account, which may appeal.
    """
    if outcome == "appealable":
        return _offer_appeal(world, dispute)
    inquiry = dispute["status"] in INQUIRIES
    if not inquiry and dispute["status"] not in OPEN:
        raise ApiError(400, "This dispute is already closed")
    if outcome == "escalated":
        return _escalate(world, dispute)
    drop_task(world, "lapse_dispute", dispute["id"])
    dispute["status"] = "warning_closed" if inquiry else outcome
    reinstates = outcome == "won" and not inquiry
    if reinstates:
        _reinstate(world, dispute)
    dispute = world.save(dispute)
    world.announce("charge.dispute.closed", dispute)
    if reinstates:
        world.announce("charge.dispute.funds_reinstated", dispute)
    return dispute


def _offer_appeal(world: World, dispute: Document) -> Document:
    if dispute["status"] not in APPEALABLE:
        raise invalid("Only a lost dispute can be appealed.", param="outcome")
    charge = world.find("charge", dispute["charge"])
    due = world.time_of(charge) + APPEAL_DAYS * DAY
    dispute["evidence_details"] |= {"due_by": due}
    dispute["status"] = "appeal_needs_response"
    dispute = world.change(dispute, event="charge.dispute.updated")
    _plan_end(world, dispute, APPEAL_DAYS)
    return dispute


def _escalate(world: World, dispute: Document) -> Document:
    if dispute["status"] not in INQUIRIES:
        raise invalid("Only an inquiry can be escalated.", param="outcome")
    charge = world.find("charge", dispute["charge"])
    reason = dispute["reason"]
    due = world.time_of(charge) + RESPONSE_DAYS * DAY
    _withdraw(world, dispute)
    dispute["evidence_details"] |= {"due_by": due, "submission_count": 0}
    dispute |= {
        "is_charge_refundable": False,
        "payment_method_details": _method_details(charge, reason, "needs_response"),
        "status": "needs_response",
    }
    dispute = world.change(dispute, event="charge.dispute.updated")
    world.announce("charge.dispute.funds_withdrawn", dispute)
    _plan_end(world, dispute, RESPONSE_DAYS)
    return dispute


def lapse_dispute(world: World, dispute: Document) -> None:
    """End a dispute that was never answered: a chargeback is lost, an inquiry closed."""
    if dispute["status"] in ANSWERABLE:
        decide_dispute(world, dispute, "lost")
