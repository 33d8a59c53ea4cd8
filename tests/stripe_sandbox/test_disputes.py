"""Disputes and early fraud warnings: by test cards and on demand."""

import pytest
import stripe

from tests.stripe_sandbox.calls import refused
from tests.stripe_sandbox.conftest import DAY
from tests.stripe_sandbox.test_refunds_and_credit_notes import paid


async def disputed(shop, card: str):
    """Return the dispute that a payment with the card brings about."""
    intent = await paid(shop.api, card, 4200)
    [dispute] = (await shop.api.v1.disputes.list_async({"payment_intent": intent.id})).data
    return dispute


async def balance(api) -> int:
    found = await api.v1.balance.retrieve_async()
    return sum(part.amount for part in [*found.available, *found.pending])


@pytest.mark.parametrize(
    ("card", "reason", "code"),
    [
        ("pm_card_createDispute", "fraudulent", "10.4"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received", "13.1"),
    ],
)
async def test_a_chargeback_takes_the_money_and_a_fee(shop, driver, card, reason, code):
    dispute = await disputed(shop, card)
    assert (dispute.status, dispute.reason) == ("needs_response", reason)
    assert (dispute.network_reason_code, dispute.is_charge_refundable) == (None, False)
    details = dispute.payment_method_details.card
    assert (details.case_type, details.network_reason_code) == ("chargeback", code)
    [taken] = dispute.balance_transactions
    assert (taken.amount, taken.fee, taken.net) == (-4200, 1500, -5700)
    assert taken.fee_details[0].description == "Dispute fee"
    charge = await shop.api.v1.charges.retrieve_async(dispute.charge)
    assert charge.disputed
    with refused("has been charged back; cannot issue a refund"):
        await shop.api.v1.refunds.create_async({"charge": charge.id})
    await driver.wait_idle()
    assert [name for name in shop.receiver.types() if "dispute" in name] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
    ]


async def test_an_inquiry_takes_nothing(shop):
    dispute = await disputed(shop, "pm_card_createDisputeInquiry")
    assert (dispute.status, dispute.balance_transactions) == ("warning_needs_response", [])
    assert dispute.payment_method_details.card.case_type == "inquiry"
    assert dispute.is_charge_refundable
    refund = await shop.api.v1.refunds.create_async({"charge": dispute.charge})
    assert refund.status == "succeeded"


@pytest.mark.parametrize(
    ("text", "status", "last"),
    [
        ("winning_evidence", "won", "charge.dispute.funds_reinstated"),
        ("losing_evidence", "lost", "charge.dispute.closed"),
        ("a photo", "under_review", "charge.dispute.updated"),
    ],
)
async def test_evidence_decides(shop, driver, text, status, last):
    dispute = await disputed(shop, "pm_card_createDispute")
    before = await balance(shop.api)
    decided = await shop.api.v1.disputes.update_async(
        dispute.id, {"evidence": {"uncategorized_text": text}, "submit": True}
    )
    assert decided.status == status
    details = decided.evidence_details
    assert (details.submission_count, details.has_evidence) == (1, True)
    assert await balance(shop.api) - before == (5700 if status == "won" else 0)
    await driver.wait_idle()
    assert shop.receiver.types()[-1] == last


async def test_evidence_is_staged_often_and_submitted_once(shop, driver):
    dispute = await disputed(shop, "pm_card_createDispute")
    for text in ("first", "second"):
        staged = await shop.api.v1.disputes.update_async(
            dispute.id, {"evidence": {"product_description": text}, "submit": False}
        )
        assert (staged.status, staged.evidence.product_description) == ("needs_response", text)
        assert staged.evidence_details.submission_count == 0
    await shop.api.v1.disputes.update_async(dispute.id, {"submit": True})
    with refused("already submitted"):
        await shop.api.v1.disputes.update_async(dispute.id, {"evidence": {"customer_name": "x"}})
    noted = await shop.api.v1.disputes.update_async(dispute.id, {"metadata": {"a": "b"}})
    assert noted.metadata.to_dict() == {"a": "b"}
    assert await driver.decide_dispute(dispute.id, "won") == "won"
    with pytest.raises(stripe.InvalidRequestError, match="closed"):
        await shop.api.v1.disputes.close_async(dispute.id)


async def test_an_inquiry_may_become_a_chargeback(shop, driver):
    dispute = await disputed(shop, "pm_card_createDisputeInquiry")
    escalated = await shop.api.v1.disputes.update_async(
        dispute.id, {"evidence": {"uncategorized_text": "escalate_inquiry_evidence"}}
    )
    assert (escalated.status, escalated.is_charge_refundable) == ("needs_response", False)
    assert [one.net for one in escalated.balance_transactions] == [-5700]
    lost = await shop.api.v1.disputes.close_async(dispute.id)
    assert lost.status == "lost"
    await driver.wait_idle()
    assert [name for name in shop.receiver.types() if "dispute" in name] == [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]


@pytest.mark.parametrize(
    ("card", "days", "status"),
    [
        ("pm_card_createDispute", 21, "lost"),
        ("pm_card_createDisputeInquiry", 121, "warning_closed"),
    ],
)
async def test_what_is_not_answered_in_time_ends(shop, driver, card, days, status):
    dispute = await disputed(shop, card)
    await driver.advance_time(await driver.now() + days * DAY)
    assert (await shop.api.v1.disputes.retrieve_async(dispute.id)).status == status


async def test_any_charge_is_disputed_on_demand(shop, driver):
    charge = (await paid(shop.api)).latest_charge
    prevented = await driver.dispute(charge.id, status="prevented", reason="duplicate", amount=100)
    found = await shop.api.v1.disputes.retrieve_async(prevented)
    assert (found.status, found.amount, found.balance_transactions) == ("prevented", 100, [])
    chargeback = await driver.dispute(charge.id, reason="subscription_canceled")
    assert await driver.decide_dispute(chargeback, "lost") == "lost"


async def test_a_warning_comes_before_a_dispute_and_ends_with_a_refund(shop, driver):
    intent = await paid(shop.api, "pm_card_createIssuerFraudRecord")
    listed = shop.api.v1.radar.early_fraud_warnings.list_async
    [warning] = (await listed({"payment_intent": intent.id})).data
    assert (warning.actionable, warning.fraud_type) == (True, "made_with_stolen_card")
    await shop.api.v1.refunds.create_async({"payment_intent": intent.id})
    settled = await shop.api.v1.radar.early_fraud_warnings.retrieve_async(warning.id)
    assert not settled.actionable
    await driver.wait_idle()
    updated = shop.receiver.last("radar.early_fraud_warning.updated")
    assert updated["data"]["previous_attributes"] == {"actionable": True}
    assert await driver.warn_of_fraud(intent.latest_charge.id)
