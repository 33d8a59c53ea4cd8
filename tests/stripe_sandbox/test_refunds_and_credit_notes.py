"""Money back: refunds that succeed, wait or fail, credit notes, and the customer's balance."""

import pytest

from tests.stripe_sandbox.calls import refused
from tests.stripe_sandbox.conftest import DAY, PENDING, START


async def paid(api, card: str = "pm_card_visa", amount: int = 2000):
    """Return a paid payment intent with its charge."""
    return await api.v1.payment_intents.create_async(
        {
            "amount": amount,
            "currency": "usd",
            "payment_method": card,
            "confirm": True,
            "expand": ["latest_charge.balance_transaction"],
        }
    )


@pytest.mark.parametrize(
    ("card", "fee", "status"),
    [
        ("pm_card_visa", 88, "pending"),
        ("pm_card_fr", 118, "pending"),
        ("pm_card_bypassPending", 88, "available"),
    ],
)
async def test_a_charge_has_a_balance_transaction_with_fees(api, card, fee, status):
    charge = (await paid(api, card)).latest_charge
    movement = charge.balance_transaction
    assert (movement.amount, movement.fee, movement.net) == (2000, fee, 2000 - fee)
    assert (movement.type, movement.source, movement.status) == ("charge", charge.id, status)
    balance = await api.v1.balance.retrieve_async()
    part = balance.pending if status == "pending" else balance.available
    assert [(one.amount, one.currency) for one in part] == [(2000 - fee, "usd")]


async def test_pending_money_is_available_after_two_days(api, driver):
    charge = (await paid(api)).latest_charge
    await driver.advance_time(await driver.now() + 2 * DAY + 60)
    found = await api.v1.balance_transactions.list_async({"source": charge.id})
    assert [one.status for one in found.data] == ["available"]


async def test_a_refund_takes_money_from_the_balance_but_not_the_fee(api, driver, receiver):
    intent = await paid(api)
    refund = await api.v1.refunds.create_async(
        {"payment_intent": intent.id, "amount": 500, "expand": ["balance_transaction"]}
    )
    movement = refund.balance_transaction
    assert (refund.status, movement.amount, movement.fee) == ("succeeded", -500, 0)
    charge = await api.v1.charges.retrieve_async(refund.charge, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (500, False)
    assert [one.id for one in charge.refunds.data] == [refund.id]
    await driver.wait_idle()
    assert receiver.types()[-2:] == ["charge.refunded", "refund.created"]
    previous = receiver.last("charge.refunded")["data"]["previous_attributes"]
    assert previous == {"amount_refunded": 0}


async def test_a_pending_refund_succeeds_later(api, driver, receiver):
    intent = await paid(api, "pm_card_pendingRefund")
    refund = await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "pending"
    await driver.advance_time(await driver.now() + 300)
    assert (await api.v1.refunds.retrieve_async(refund.id)).status == "succeeded"
    await driver.wait_idle()
    assert receiver.types()[-2:] == ["refund.updated", "charge.refund.updated"]


async def test_a_refund_may_fail_later(api, driver, receiver):
    intent = await paid(api, "pm_card_refundFail")
    refund = await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    await driver.advance_time(await driver.now() + 300)
    failed = await api.v1.refunds.retrieve_async(
        refund.id, {"expand": ["failure_balance_transaction"]}
    )
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert failed.failure_balance_transaction.amount == 2000
    charge = await api.v1.charges.retrieve_async(refund.charge)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    await driver.wait_idle()
    assert receiver.types()[-3:] == ["refund.updated", "charge.refund.updated", "refund.failed"]
    previous = receiver.last("refund.updated")["data"]["previous_attributes"]
    assert previous["status"] == "succeeded"


async def test_any_refund_fails_on_demand(api, driver):
    intent = await paid(api)
    refund = await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert await driver.fail_refund(refund.id) == "failed"
    again = await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert again.amount == 2000


async def invoiced(shop, card: str | None = "pm_card_visa"):
    """Return the first invoice of a subscription, open without a card."""
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    if card:
        await shop.driver.replace_card(customer.id)
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": shop.prices["monthly"]}],
            "payment_behavior": "allow_incomplete" if card else "default_incomplete",
        }
    )
    [invoice] = await shop.invoices(subscription.id)
    return invoice


async def test_a_paid_invoice_is_credited_in_three_ways(shop, driver):
    notes, invoice = shop.api.v1.credit_notes, await invoiced(shop)
    note = await notes.create_async(
        {
            "invoice": invoice.id,
            "lines": [
                {
                    "type": "invoice_line_item",
                    "invoice_line_item": invoice.lines.data[0].id,
                    "amount": 600,
                }
            ],
            "refund_amount": 300,
            "credit_amount": 200,
            "out_of_band_amount": 100,
            "reason": "order_change",
            "expand": ["refunds.refund", "customer_balance_transaction"],
        }
    )
    assert (note.amount, note.type, note.status) == (600, "post_payment", "issued")
    assert note.number == f"{invoice.number}-CN-01"
    assert [(one.amount_refunded, one.refund.status) for one in note.refunds] == [
        (300, "succeeded")
    ]
    credit = note.customer_balance_transaction
    assert (credit.amount, credit.type, credit.credit_note) == (-200, "credit_note", note.id)
    credited = await shop.api.v1.invoices.retrieve_async(invoice.id)
    assert credited.post_payment_credit_notes_amount == 600
    customer = await shop.api.v1.customers.retrieve_async(invoice.customer)
    assert customer.balance == -200
    await driver.wait_idle()
    assert shop.receiver.types()[-5:] == [
        "charge.refunded",
        "refund.created",
        "customer.updated",
        "credit_note.created",
        "invoice.updated",
    ]


async def test_what_was_paid_has_to_go_somewhere(shop):
    invoice = await invoiced(shop)
    create = shop.api.v1.credit_notes.create_async
    with refused(r"\(\$1\.00\) must equal the credit note post_payment_amount \(\$2\.00\)"):
        await create({"invoice": invoice.id, "amount": 200, "refund_amount": 100})
    with refused("greater than what can be credited"):
        await create({"invoice": invoice.id, "amount": 1001, "refund_amount": 1001})


async def test_a_refund_that_exists_is_linked_once(shop):
    invoice = await invoiced(shop)
    [payment] = (await shop.api.v1.invoice_payments.list_async({"invoice": invoice.id})).data
    refund = await shop.api.v1.refunds.create_async(
        {"payment_intent": payment.payment.payment_intent, "amount": 400}
    )
    linked = {"invoice": invoice.id, "amount": 400, "refunds": [{"refund": refund.id}]}
    note = await shop.api.v1.credit_notes.create_async(linked)
    assert [(one.refund, one.amount_refunded) for one in note.refunds] == [(refund.id, 400)]
    with refused("less than that left"):
        await shop.api.v1.credit_notes.create_async(linked)
    assert len((await shop.api.v1.refunds.list_async()).data) == 1


async def test_a_note_before_payment_lowers_what_is_due(shop, driver):
    invoice = await invoiced(shop, card=None)
    note = await shop.api.v1.credit_notes.create_async({"invoice": invoice.id, "amount": 400})
    assert (note.type, note.pre_payment_amount) == ("pre_payment", 400)
    lowered = await shop.api.v1.invoices.retrieve_async(invoice.id, {"expand": ["payments"]})
    assert (lowered.amount_due, lowered.pre_payment_credit_notes_amount) == (600, 400)
    intent = lowered.payments.data[0].payment.payment_intent
    paid_intent = await shop.api.v1.payment_intents.confirm_async(
        intent, {"payment_method": "pm_card_visa"}
    )
    assert paid_intent.amount_received == 600
    assert (await shop.api.v1.invoices.retrieve_async(invoice.id)).amount_paid == 600


async def test_a_note_over_all_pays_the_invoice(shop):
    invoice = await invoiced(shop, card=None)
    await shop.api.v1.credit_notes.create_async({"invoice": invoice.id, "amount": 1000})
    settled = await shop.api.v1.invoices.retrieve_async(invoice.id)
    assert (settled.status, settled.amount_paid) == ("paid", 0)
    subscription = invoice.parent.subscription_details.subscription
    assert (await shop.fetch(subscription)).status == "active"


async def test_a_note_of_an_open_invoice_can_be_voided(shop, driver):
    invoice = await invoiced(shop, card=None)
    note = await shop.api.v1.credit_notes.create_async({"invoice": invoice.id, "amount": 400})
    await shop.api.v1.credit_notes.update_async(note.id, {"memo": "sorry"})
    voided = await shop.api.v1.credit_notes.void_credit_note_async(note.id)
    assert voided.status == "void"
    assert (await shop.api.v1.invoices.retrieve_async(invoice.id)).amount_due == 1000
    with refused("already void"):
        await shop.api.v1.credit_notes.void_credit_note_async(note.id)
    await driver.wait_idle()
    assert [name for name in shop.receiver.types() if "credit" in name] == [
        "credit_note.created",
        "credit_note.updated",
        "credit_note.voided",
    ]


async def test_a_preview_changes_nothing(shop):
    invoice = await invoiced(shop)
    asked = {"invoice": invoice.id, "amount": 400, "refund_amount": 400}
    preview = await shop.api.v1.credit_notes.preview_async(asked)
    assert (preview.amount, preview.status) == (400, "issued")
    assert (await shop.api.v1.credit_notes.list_async()).data == []
    assert (await shop.api.v1.refunds.list_async()).data == []


async def test_each_change_of_a_balance_is_a_transaction(shop):
    customers = shop.api.v1.customers
    customer = await customers.create_async({"balance": -300})
    await customers.update_async(customer.id, {"balance": -500})
    credit = await customers.balance_transactions.create_async(
        customer.id, {"amount": -100, "currency": "usd", "description": "thanks"}
    )
    assert (credit.type, credit.ending_balance) == ("adjustment", -600)
    await customers.balance_transactions.update_async(customer.id, credit.id, {"description": "x"})
    card = await shop.driver.replace_card(customer.id)
    assert card
    await shop.api.v1.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": shop.prices["monthly"]}]}
    )
    page = await customers.balance_transactions.list_async(customer.id)
    assert [(one.type, one.amount, one.ending_balance) for one in page.data] == [
        ("applied_to_invoice", 600, 0),
        ("adjustment", -100, -600),
        ("adjustment", -200, -500),
        ("initial", -300, -300),
    ]


async def test_a_void_invoice_gives_the_applied_balance_back(shop):
    _, customer = await shop.clocked_customer(START)
    await shop.api.v1.customers.update_async(customer, {"balance": -300})
    await shop.api.v1.invoice_items.create_async(
        {"customer": customer, "amount": 1000, "currency": "usd"}
    )
    draft = await shop.api.v1.invoices.create_async({"customer": customer, **PENDING})
    invoice = await shop.api.v1.invoices.finalize_invoice_async(draft.id)
    assert invoice.amount_due == 700
    await shop.api.v1.invoices.void_invoice_async(invoice.id)
    assert (await shop.api.v1.customers.retrieve_async(customer)).balance == -300
    page = await shop.api.v1.customers.balance_transactions.list_async(customer)
    assert page.data[0].type == "unapplied_from_invoice"
