"""Bank accounts that have to be verified by the deposits that their holders get."""

import pytest
import stripe

from stripe_sandbox import Choices
from tests.stripe_sandbox.calls import refused
from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.test_portal_flows import read, send

BANK = "pm_usBankAccount_success"
WAITS = {"us_bank_account": {"verification_method": "microdeposits"}}
FAILED = "payment_method_microdeposit_verification_"


async def set_up(shop, **more):
    clock, customer = await shop.clocked_customer()
    params = {
        "customer": customer,
        "payment_method": BANK,
        "allowed_payment_method_types": ["us_bank_account"],
        "payment_method_options": WAITS,
        "confirm": True,
        **more,
    }
    return clock, await shop.api.v1.setup_intents.create_async(params)


async def test_an_account_is_set_up_once_its_deposit_is_named(shop):
    _, intent = await set_up(shop)
    action = intent.next_action
    assert (intent.status, action.type) == ("requires_action", "verify_with_microdeposits")
    assert action.verify_with_microdeposits.arrival_date == START + 2 * DAY
    verify = shop.api.v1.setup_intents.verify_microdeposits_async
    with refused("does not match"):
        await verify(intent.id, {"descriptor_code": "SM55EE"})
    with refused("either `amounts`"):
        await verify(intent.id, {"amounts": [32]})
    done = await verify(intent.id, {"amounts": [32, 45]})
    assert (done.status, done.next_action) == ("succeeded", None)
    method = await shop.api.v1.payment_methods.retrieve_async(done.payment_method)
    assert method.customer == intent.customer
    with refused("not awaiting"):
        await verify(intent.id, {"amounts": [32, 45]})


async def test_a_payment_is_sent_to_the_bank_once_the_account_is_verified(shop):
    clock, customer = await shop.clocked_customer()
    intent = await shop.api.v1.payment_intents.create_async(
        {
            "amount": 2000,
            "currency": "usd",
            "customer": customer,
            "payment_method": BANK,
            "allowed_payment_method_types": ["us_bank_account"],
            "payment_method_options": WAITS,
            "confirm": True,
        }
    )
    url = intent.next_action.verify_with_microdeposits.hosted_verification_url
    assert "enter the code" in await read(url)
    assert (await send(url, {"descriptorCode": "SM00XX"}))[0] == 400
    assert (await send(url, {"descriptorCode": "sm11aa"}))[0] == 200
    await shop.driver.advance_clock(clock, START + 4 * DAY)
    assert (await shop.api.v1.payment_intents.retrieve_async(intent.id)).status == "succeeded"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"amounts": [10, 11]}, "attempts_exceeded"),
        ({"descriptor_code": "SM33CC"}, "attempts_exceeded"),
        ({"amounts": [40, 41]}, "timeout"),
        ({"descriptor_code": "SM44DD"}, "timeout"),
    ],
)
async def test_some_answers_end_the_attempt(shop, answer, code):
    _, intent = await set_up(shop)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        await shop.api.v1.setup_intents.verify_microdeposits_async(intent.id, answer)
    assert raised.value.code == f"{FAILED}{code}"
    ended = await shop.api.v1.setup_intents.retrieve_async(intent.id)
    assert (ended.status, ended.last_setup_error.code) == (
        "requires_payment_method",
        f"{FAILED}{code}",
    )


async def test_ten_wrong_answers_and_ten_days_end_it_too(shop):
    clock, intent = await set_up(shop)
    verify = shop.api.v1.setup_intents.verify_microdeposits_async
    for _ in range(9):
        with refused("does not match"):
            await verify(intent.id, {"amounts": [1, 2]})
    with refused("exceeded the number"):
        await verify(intent.id, {"amounts": [1, 2]})
    clock, intent = await set_up(shop)
    await shop.driver.advance_clock(clock, START + 10 * DAY)
    ended = await shop.api.v1.setup_intents.retrieve_async(intent.id)
    assert ended.last_setup_error.code == f"{FAILED}timeout"


class TestTypedInAccounts:
    """An account that verifies what its customers type in."""

    @pytest.fixture
    def config(self, config):
        return type(config)(webhooks=config.webhooks, seed=1,
                            choices=Choices(bank_accounts="microdeposits"))  # fmt: skip

    async def test_numbers_that_were_typed_in_are_verified_and_test_accounts_are_not(self, shop):
        account = {"account_number": "000123456789", "routing_number": "110000000"}
        typed = await shop.api.v1.payment_methods.create_async(
            {
                "type": "us_bank_account",
                "us_bank_account": {**account, "account_holder_type": "individual"},
                "billing_details": {"name": "Ada"},
            }
        )
        for method, status in ((typed.id, "requires_action"), (BANK, "succeeded")):
            _, intent = await set_up(shop, payment_method=method, payment_method_options={
                "us_bank_account": {"verification_method": "automatic"}})  # fmt: skip
            assert intent.status == status
