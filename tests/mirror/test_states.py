"""Within a second, the state that is further along wins, for each type and in both orders."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from mpanel_billing.mirror.ordering import Decision, Version, order
from mpanel_billing.mirror.snapshot import snapshot_of_event
from tests import stripe_objects as made
from tests.mirror.test_types import CHARGE, CREDIT_NOTE, DISPUTE, FRAUD_WARNING, TAX_ID


def version_of(about: Mapping[str, Any], event_id: str) -> Version:
    """The version of an update of the same second."""
    return snapshot_of_event(
        about,
        event_id=event_id,
        event_type=f"{about['object']}.updated",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        livemode=False,
        previous=None,
    ).version


def refund(status: str) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "currency": "usd",
        "created": 1,
        "status": status,
    }


def dispute(status: str, **more: Any) -> dict[str, Any]:
    return DISPUTE | {"status": status} | more


OPEN = made.invoice(status="open")
UNPAID = made.session(payment_status="unpaid")
CUSTOMER: dict[str, Any] = {"id": "cus_1", "object": "customer"}

FURTHER = {
    "a subscription that ended": (made.subscription(), made.subscription(status="canceled")),
    "a subscription whose first payment never came": (
        made.subscription(status="incomplete"),
        made.subscription(status="incomplete_expired"),
    ),
    "an invoice that is finalized": (made.invoice(status="draft"), OPEN),
    "an invoice that is tried again": (OPEN | {"attempt_count": 1}, OPEN | {"attempt_count": 2}),
    "an invoice that is paid in part": (OPEN, OPEN | {"amount_paid": 300}),
    "an invoice that is given up": (OPEN, made.invoice(status="uncollectible")),
    "an invoice that is paid after all": (made.invoice(status="uncollectible"), made.invoice()),
    "an invoice that is voided": (OPEN, made.invoice(status="void")),
    "an invoice that is deleted": (made.invoice(status="draft"), OPEN | {"deleted": True}),
    "a payment that arrives": (made.invoice_payment(status="open"), made.invoice_payment()),
    "a payment that is canceled": (
        made.invoice_payment(status="open"),
        made.invoice_payment(status="canceled"),
    ),
    "a refund that arrives": (refund("pending"), refund("succeeded")),
    "a refund that the bank sends back": (refund("succeeded"), refund("failed")),
    "a charge that goes through": (CHARGE | {"status": "pending", "captured": False}, CHARGE),
    "a credit note that is voided": (CREDIT_NOTE, CREDIT_NOTE | {"status": "void"}),
    "a bank that only asked, then takes the money": (
        dispute("warning_under_review"),
        dispute("needs_response"),
    ),
    "a dispute whose money is taken": (
        dispute("needs_response"),
        dispute("needs_response", balance_transactions=[{"fee": 1500, "currency": "usd"}]),
    ),
    "a dispute that is answered": (
        dispute("needs_response"),
        dispute("under_review", evidence_details={"submission_count": 1}),
    ),
    "a dispute that is lost": (dispute("under_review"), dispute("lost")),
    "a dispute that is won": (dispute("under_review"), dispute("won")),
    "a dispute that is won on appeal": (dispute("appeal_under_review"), dispute("won")),
    "a warning that is too late": (FRAUD_WARNING, FRAUD_WARNING | {"actionable": False}),
    "a tax id that is verified": (TAX_ID, TAX_ID | {"verification": {"status": "verified"}}),
    "a tax id that is deleted": (TAX_ID, TAX_ID | {"deleted": True}),
    "a session that is completed": (UNPAID | {"status": "open"}, UNPAID),
    "a session that is paid later": (UNPAID, made.session()),
    "a session that expires": (UNPAID | {"status": "open"}, UNPAID | {"status": "expired"}),
    "a customer who is deleted": (CUSTOMER, CUSTOMER | {"deleted": True}),
}


@pytest.mark.parametrize(("before", "after"), FURTHER.values(), ids=FURTHER)
def test_within_a_second_the_state_that_is_further_along_wins(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    first, then = version_of(before, "evt_1"), version_of(after, "evt_2")
    assert order(first, then) is Decision.APPLY
    assert order(then, first) is Decision.STALE
