"""Bank accounts of the older API: verified by micro-deposits before they can be used."""

import pytest
import stripe

NUMBERS = {
    "account_holder_name": "Ada",
    "account_holder_type": "individual",
    "account_number": "000123456789",
    "country": "US",
    "routing_number": "110000000",
}


async def token_of(shop, **more):
    return (await shop.api.v1.tokens.create_async({"bank_account": {**NUMBERS, **more}})).id


@pytest.fixture
async def account(shop):
    _, customer = await shop.clocked_customer()
    told = {"source": await token_of(shop)}
    return await shop.api.v1.customers.payment_sources.create_async(customer, told)


async def verify(shop, account, amounts):
    sources = shop.api.v1.customers.payment_sources
    return await sources.verify_async(account.customer, account.id, {"amounts": amounts})


async def test_an_account_is_verified_by_its_deposits_and_then_debited(shop, account):
    assert (account.status, account.last4) == ("new", "6789")
    assert (await verify(shop, account, [45, 32])).status == "verified"
    intent = await shop.api.v1.payment_intents.create_async(
        {
            "amount": 900,
            "currency": "usd",
            "customer": account.customer,
            "payment_method": account.id,
            "allowed_payment_method_types": ["us_bank_account"],
            "confirm": True,
        }
    )
    assert intent.status == "processing"
    with pytest.raises(stripe.InvalidRequestError, match="its status is verified"):
        await verify(shop, account, [32, 45])


async def test_ten_wrong_guesses_are_too_many(shop, account):
    for _ in range(10):
        with pytest.raises(stripe.InvalidRequestError) as wrong:
            await verify(shop, account, [1, 2])
    assert wrong.value.code == "bank_account_verification_failed"
    with pytest.raises(stripe.InvalidRequestError, match="verification_failed"):
        await verify(shop, account, [32, 45])


async def test_an_account_that_is_not_verified_is_not_charged_and_can_be_removed(shop, account):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.charges.create_async(
            {"amount": 900, "currency": "usd", "customer": account.customer, "source": account.id}
        )
    assert refused.value.code == "bank_account_unverified"
    sources = shop.api.v1.customers.payment_sources
    assert (await sources.delete_async(account.customer, account.id)).deleted


async def test_a_source_of_an_account_is_chargeable_once_verified(shop):
    v1 = shop.api.v1
    made = await v1.sources.create_async({"type": "ach_debit", "token": await token_of(shop)})
    assert (made.status, made.flow) == ("pending", "code_verification")
    with pytest.raises(stripe.InvalidRequestError):
        await v1.sources.verify_async(made.id, {"values": ["1", "2"]})
    left = (await v1.sources.retrieve_async(made.id)).code_verification.attempts_remaining
    assert left == made.code_verification.attempts_remaining - 1
    verified = await v1.sources.verify_async(made.id, {"values": ["32", "45"]})
    assert (verified.status, verified.code_verification.status) == ("chargeable", "succeeded")


async def test_an_account_of_nobody_in_particular_is_not_a_customers(shop):
    _, customer = await shop.clocked_customer()
    told = {"source": await token_of(shop, account_holder_name="")}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.customers.payment_sources.create_async(customer, told)
    assert refused.value.param == "account_holder_name"
