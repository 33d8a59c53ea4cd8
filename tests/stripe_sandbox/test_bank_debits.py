"""Debits of bank accounts, which succeed or fail days after the order."""

import pytest
import stripe

from stripe_sandbox import Choices
from tests.stripe_sandbox.conftest import DAY, START

IBAN, FAILING_IBAN = "DE89370400440532013000", "DE62370400440532013001"
BANK = {
    "paymentMethodType": "us_bank_account",
    "routingNumber": "110000000",
    "accountNumber": "000123456789",
}
NO_FUNDS = {**BANK, "accountNumber": "000222222227"}


async def clocked(shop, **params):
    clock, customer = await shop.clocked_customer()
    session = await shop.open(
        customer=customer, allowed_payment_method_types=["card", "us_bank_account"], **params
    )
    return clock, session


async def state_of(shop, session):
    expand = {"expand": ["subscription.latest_invoice.payments"]}
    return await shop.api.v1.checkout.sessions.retrieve_async(session.id, expand)


async def test_a_debited_order_is_complete_at_once_and_paid_days_later(shop):
    clock, session = await clocked(shop)
    assert (await shop.driver.pay(session.id, **BANK)).status == 303
    ordered = await state_of(shop, session)
    invoice = ordered.subscription.latest_invoice
    assert (ordered.status, ordered.payment_status) == ("complete", "unpaid")
    assert (ordered.subscription.status, invoice.status) == ("active", "open")
    payment = invoice.payments.data[0].payment
    intent = await shop.api.v1.payment_intents.retrieve_async(payment.payment_intent)
    assert (intent.status, intent.payment_method_types) == (
        "processing",
        ["card", "us_bank_account"],
    )
    await shop.driver.advance_clock(clock, START + 3 * DAY)
    assert (await state_of(shop, session)).payment_status == "unpaid"

    await shop.driver.advance_clock(clock, START + 4 * DAY)
    paid = await state_of(shop, session)
    assert (paid.payment_status, paid.subscription.status) == ("paid", "active")
    assert paid.subscription.latest_invoice.status == "paid"
    await shop.driver.wait_idle()
    types = shop.receiver.types()
    wanted = [
        "charge.pending",
        "payment_intent.processing",
        "checkout.session.completed",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "checkout.session.async_payment_succeeded",
    ]
    assert [one for one in types if one in wanted] == wanted
    assert "customer.subscription.deleted" not in types


async def test_a_debit_that_fails_makes_the_subscription_past_due(shop):
    clock, session = await clocked(shop)
    await shop.driver.pay(session.id, **NO_FUNDS)
    await shop.driver.advance_clock(clock, START + 4 * DAY)
    failed = await state_of(shop, session)
    invoice = failed.subscription.latest_invoice
    assert (failed.payment_status, failed.subscription.status) == ("unpaid", "past_due")
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    assert invoice.next_payment_attempt == START + 4 * DAY + 3 * DAY
    await shop.driver.wait_idle()
    charge = shop.receiver.last("charge.failed")["data"]["object"]
    assert (charge["failure_code"], charge["status"]) == ("insufficient_funds", "failed")
    assert shop.receiver.last("invoice.payment_failed")
    told = shop.receiver.last("checkout.session.async_payment_failed")["data"]["object"]
    assert (told["id"], told["payment_status"]) == (session.id, "unpaid")


async def test_a_renewal_by_debit_is_open_until_it_settles(shop):
    clock, session = await clocked(shop)
    await shop.driver.pay(session.id, **BANK)
    month = START + 31 * DAY
    await shop.driver.advance_clock(clock, month + DAY)
    state = (await state_of(shop, session)).subscription
    assert (state.status, state.latest_invoice.status) == ("active", "open")
    await shop.driver.advance_clock(clock, month + 5 * DAY)
    state = (await state_of(shop, session)).subscription
    assert (state.status, state.latest_invoice.status) == ("active", "paid")
    charge = (await shop.api.v1.charges.list_async({"limit": 1})).data[0]
    details = charge.payment_method_details
    assert (details.type, details.us_bank_account.last4) == ("us_bank_account", "6789")
    assert details.us_bank_account.mandate.startswith("mandate_")


async def test_an_iban_pays_an_intent_and_has_a_mandate(shop):
    method = await shop.api.v1.payment_methods.create_async(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": IBAN},
            "billing_details": {"name": "Ada", "email": "ada@example.com"},
        }
    )
    assert (method.sepa_debit.country, method.sepa_debit.last4) == ("DE", "3000")
    intent = await shop.api.v1.payment_intents.create_async(
        {
            "amount": 1099,
            "currency": "eur",
            "payment_method": method.id,
            "allowed_payment_method_types": ["sepa_debit"],
            "confirm": True,
            "mandate_data": {
                "customer_acceptance": {
                    "type": "online",
                    "online": {"ip_address": "127.0.0.1", "user_agent": "test"},
                }
            },
        }
    )
    assert intent.status == "processing"
    assert await shop.driver.end_debit(intent.id) == "succeeded"
    charge = await shop.api.v1.charges.retrieve_async(
        intent.latest_charge, {"expand": ["balance_transaction"]}
    )
    assert (charge.status, charge.balance_transaction.fee) == ("succeeded", 9)
    mandate = await shop.api.v1.mandates.retrieve_async(
        charge.payment_method_details.sepa_debit.mandate
    )
    assert (mandate.status, mandate.customer_acceptance.online.ip_address) == (
        "active",
        "127.0.0.1",
    )
    refund = await shop.api.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.destination_details.type == "eu_bank_transfer"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "sepa_debit", "sepa_debit": {"iban": IBAN}}, "billing_details[email]"),
        (
            {
                "type": "sepa_debit",
                "sepa_debit": {"iban": "DE89370400440532013009"},
                "billing_details": {"name": "Ada", "email": "ada@example.com"},
            },
            "sepa_debit[iban]",
        ),
        (
            {
                "type": "us_bank_account",
                "us_bank_account": {"account_number": "1", "routing_number": "1"},
                "billing_details": {"name": "Ada"},
            },
            "us_bank_account[routing_number]",
        ),
        ({"type": "us_bank_account"}, "us_bank_account"),
    ],
)
async def test_a_bank_account_that_cannot_be_one_is_refused(api, given, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_methods.create_async(given)
    assert refused.value.param == param


async def test_a_type_that_an_intent_does_not_list_is_refused(api):
    with pytest.raises(stripe.InvalidRequestError, match=r"\(us_bank_account\) is not allowed"):
        await api.v1.payment_intents.create_async(
            {
                "amount": 500,
                "currency": "usd",
                "payment_method": "pm_usBankAccount_success",
                "allowed_payment_method_types": ["card"],
            }
        )


async def test_the_bank_can_refuse_a_debit_on_demand_and_only_once(shop):
    intent = await shop.api.v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_usBankAccount_processing",
            "confirm": True,
        }
    )
    assert await shop.driver.end_debit(intent.id, succeed=False) == "requires_payment_method"
    await shop.driver.wait_idle()
    failed = shop.receiver.last("payment_intent.payment_failed")["data"]["object"]
    assert failed["last_payment_error"]["code"] == "insufficient_funds"


async def test_canceling_an_intent_ends_its_debit(shop):
    intent = await shop.api.v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_usBankAccount_processing",
            "confirm": True,
        }
    )
    canceled = await shop.api.v1.payment_intents.cancel_async(
        intent.id, {"expand": ["latest_charge"]}
    )
    assert (canceled.status, canceled.latest_charge.status) == ("canceled", "failed")


async def test_a_bank_account_is_set_up_with_a_mandate(shop):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    intent = await shop.api.v1.setup_intents.create_async(
        {
            "customer": customer.id,
            "allowed_payment_method_types": ["us_bank_account"],
            "payment_method": "pm_usBankAccount_success",
            "confirm": True,
            "expand": ["mandate", "latest_attempt"],
        }
    )
    assert (intent.status, intent.mandate.payment_method) == ("succeeded", intent.payment_method)
    assert intent.latest_attempt.payment_method_details.type == "us_bank_account"
    mine = await shop.api.v1.customers.payment_methods.list_async(
        customer.id, {"type": "us_bank_account"}
    )
    assert [one.id for one in mine.data] == [intent.payment_method]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"paymentMethodType": "us_bank_account"}, "The routing number of test accounts"),
        ({**BANK, "accountNumber": "x"}, "Your account number is incomplete."),
        ({**BANK, "name": " "}, "Enter the name of the account holder."),
        ({"paymentMethodType": "sepa_debit", "iban": IBAN}, "Choose how to pay."),
    ],
)
async def test_the_page_names_the_field_of_a_bank_account_that_is_wrong(shop, form, message):
    session = await shop.open(allowed_payment_method_types=["card", "us_bank_account"])
    result = await shop.driver.pay(session.id, **form)
    assert result.status == 400
    assert result.error.startswith(message)


class TestAtOnce:
    @pytest.fixture
    def config(self, config):
        return config.__class__(
            **{**vars(config), "choices": Choices(event_time="clock", bank_debits="at-once")}
        )

    async def test_debits_settle_with_the_next_step_of_the_clock(self, shop):
        clock, session = await clocked(shop)
        await shop.driver.pay(session.id, **BANK)
        await shop.driver.advance_clock(clock, START + 1)
        assert (await state_of(shop, session)).payment_status == "paid"
