"""Who may redeem what, when a discount ends, and what prorations make of it."""

import dataclasses

import pytest
import stripe

from stripe_sandbox import Choices, SandboxConfig, WebhookTarget
from tests.stripe_sandbox.conftest import DAY, SECRET, START

HOUR = 3600
FEBRUARY = START + 31 * DAY


async def add_coupon(shop, coupon="TEN", **params):
    terms = {"id": coupon, "percent_off": 10, "duration": "forever"} | params
    if "amount_off" in terms:
        del terms["percent_off"]
    await shop.api.v1.coupons.create_async(terms)
    return coupon


async def add_code(shop, **params):
    promotion = {"coupon": await add_coupon(shop), "type": "coupon"}
    made = await shop.api.v1.promotion_codes.create_async({"promotion": promotion, **params})
    return made.id


async def subscribe(shop, customer, price="monthly", **params):
    return await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": shop.prices[price]}], **params}
    )


async def customer_with_card(shop):
    clock, customer = await shop.clocked_customer()
    await shop.driver.replace_card(customer)
    return clock, customer


@pytest.mark.parametrize("by", ["checkout", "api"])
@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"expires_at": START + 10}, "no longer active"),
        ({"active": False}, "no longer active"),
        ({"customer": "other"}, "belongs to another customer"),
        ({"restrictions": {"first_time_transaction": True}}, "has prior transactions"),
    ],
)
async def test_promotion_codes_are_refused_when_they_may_not_be_redeemed(shop, by, terms, sentence):
    clock, customer = await customer_with_card(shop)
    await subscribe(shop, customer)
    if terms.get("customer"):
        other = await shop.api.v1.customers.create_async({})
        terms = {"customer": other.id}
    code = await add_code(shop, **terms)
    await shop.driver.advance_clock(clock, START + DAY)
    discounts = [{"promotion_code": code}]
    with pytest.raises(stripe.InvalidRequestError, match=sentence):
        await (
            subscribe(shop, customer, discounts=discounts)
            if by == "api"
            else shop.open(customer=customer, discounts=discounts)
        )


@pytest.mark.parametrize("terms", [{"expires_at": START + 2 * DAY}, {"customer": "own"},
    {"restrictions": {"first_time_transaction": True}},
    {"restrictions": {"minimum_amount": 1000, "minimum_amount_currency": "usd"}}])  # fmt: skip
async def test_promotion_codes_are_accepted_when_they_may_be_redeemed(shop, terms):
    _, customer = await shop.clocked_customer()
    terms = {"customer": customer} if "customer" in terms else terms
    code = await add_code(shop, **terms)
    subscription = await shop.buy(customer=customer, discounts=[{"promotion_code": code}])
    assert [i.total for i in await shop.invoices(subscription.id)] == [900]


async def test_a_promotion_code_may_ask_for_a_minimum(shop):
    restrictions = {"minimum_amount": 1001, "minimum_amount_currency": "usd"}
    code = await add_code(shop, restrictions=restrictions)
    with pytest.raises(stripe.InvalidRequestError, match="below its minimum"):
        await shop.open(discounts=[{"promotion_code": code}])
    promotion = {"coupon": "TEN", "type": "coupon"}
    with pytest.raises(stripe.InvalidRequestError) as lacking:
        await shop.api.v1.promotion_codes.create_async(
            {"promotion": promotion, "restrictions": {"minimum_amount": 5}}
        )
    assert lacking.value.param == "restrictions[minimum_amount_currency]"


async def test_a_coupon_expires_by_the_clock_of_the_customer(shop):
    coupon = await add_coupon(shop, redeem_by=START + DAY)
    clock, customer = await customer_with_card(shop)
    await subscribe(shop, customer, discounts=[{"coupon": coupon}])
    await shop.driver.advance_clock(clock, START + DAY)
    with pytest.raises(stripe.InvalidRequestError) as expired:
        await subscribe(shop, customer, discounts=[{"coupon": coupon}])
    assert expired.value.code == "coupon_expired"


async def test_a_coupon_of_another_currency_is_refused(shop):
    coupon = await add_coupon(shop, amount_off=100, currency="eur")
    _, customer = await customer_with_card(shop)
    with pytest.raises(stripe.InvalidRequestError, match="has the currency `eur`"):
        await subscribe(shop, customer, discounts=[{"coupon": coupon}])
    with pytest.raises(stripe.InvalidRequestError, match="has the currency `eur`"):
        await shop.open(discounts=[{"coupon": coupon}])


@pytest.mark.parametrize("duration", ["once", "repeating"])
async def test_a_discount_is_announced_when_it_begins_and_when_it_ends(shop, duration):
    months = {"duration_in_months": 1} if duration == "repeating" else {}
    await add_coupon(shop, duration=duration, **months)
    clock, customer = await shop.clocked_customer()
    await shop.buy(customer=customer, discounts=[{"coupon": "TEN"}])
    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)
    await shop.driver.wait_idle()
    begun = shop.receiver.last("customer.discount.created")["data"]["object"]
    ended = shop.receiver.last("customer.discount.deleted")["data"]["object"]
    assert begun["id"] == ended["id"]
    assert (begun["customer"], begun["source"]["coupon"]) == (customer, "TEN")


REPLACED = {
    "updated": [("created", "TEN"), ("updated", "FIVE"), ("deleted", "FIVE")],
    "created-deleted": [
        ("created", "TEN"), ("created", "FIVE"), ("deleted", "TEN"), ("deleted", "FIVE"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("way", "expected"), REPLACED.items(), ids=REPLACED)
async def test_a_discount_that_takes_anothers_place_is_announced(shop, sandbox, way, expected):
    choices = sandbox.world.choices
    sandbox.world.choices = dataclasses.replace(choices, replaced_discounts=way)
    await add_coupon(shop)
    await add_coupon(shop, "FIVE", percent_off=5)
    _, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer, discounts=[{"coupon": "TEN"}])
    update = shop.api.v1.subscriptions.update_async
    await update(subscription.id, {"discounts": [{"coupon": "FIVE"}]})
    await update(subscription.id, {"discounts": ""})
    await shop.driver.wait_idle()
    coupons = [
        (event["type"].rpartition(".")[2], event["data"]["object"]["source"]["coupon"])
        for event in shop.receiver.events
        if event["type"].startswith("customer.discount.")
    ]
    assert coupons == expected


async def test_less_than_the_minimum_charge_goes_to_the_balance(shop):
    cheap = await shop.add_price("cheap", 30, {"interval": "month"})
    clock, customer = await customer_with_card(shop)
    subscription = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": cheap}]}
    )
    balance = (await shop.api.v1.customers.retrieve_async(customer)).balance
    [first] = await shop.invoices(subscription.id)
    assert (first.total, first.amount_due, first.status, balance) == (30, 0, "paid", 30)
    assert first.ending_balance == 30

    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)

    second = (await shop.invoices(subscription.id))[-1]
    assert (second.total, second.amount_paid, second.ending_balance) == (30, 60, 0)
    assert (await shop.api.v1.customers.retrieve_async(customer)).balance == 0


async def test_checkout_does_not_sell_below_the_minimum_charge(shop):
    await shop.add_price("cheap", 30, {"interval": "month"})
    with pytest.raises(stripe.InvalidRequestError, match=r"at least \$0\.50 usd") as refused:
        await shop.open("cheap")
    assert refused.value.code == "amount_too_small"


@pytest.mark.parametrize(
    ("mode", "duration", "credit"),
    [("flexible", "forever", -1350), ("classic", "forever", -1350),
     ("flexible", "once", -1350), ("classic", "once", -1350)],
)  # fmt: skip
async def test_a_downgrade_credits_what_was_paid_after_discounts(shop, mode, duration, credit):
    await add_coupon(shop, duration=duration)
    clock, customer = await shop.clocked_customer()
    data = {"billing_mode": {"type": mode}}
    subscription = await shop.buy(
        "bigger", customer=customer, discounts=[{"coupon": "TEN"}], subscription_data=data
    )
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)
    await downgrade(shop, subscription)
    items = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    remaining = 450 if duration == "forever" else 500
    assert sorted(item.amount for item in items) == [credit, remaining]


async def downgrade(shop, subscription):
    item = {"id": subscription.items.data[0].id, "price": shop.prices["monthly"]}
    await shop.api.v1.subscriptions.update_async(subscription.id, {"items": [item]})


@pytest.mark.parametrize(("mode", "credit"), [("flexible", -1500), ("classic", -5000)])
async def test_the_billing_mode_says_whether_the_original_debit_is_credited(shop, mode, credit):
    await shop.add_price("biggest", 10000, {"interval": "month"})
    clock, customer = await shop.clocked_customer()
    data = {"billing_mode": {"type": mode}}
    subscription = await shop.buy("bigger", customer=customer, subscription_data=data)
    item = {"id": subscription.items.data[0].id, "price": shop.prices["biggest"]}
    await shop.api.v1.subscriptions.update_async(
        subscription.id, {"items": [item], "proration_behavior": "none"}
    )
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)
    await downgrade(shop, subscription)
    items = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    assert sorted(item.amount for item in items) == [credit, 500]


async def test_a_second_change_credits_the_first_ones_debit(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy("monthly", customer=customer)
    item = {"id": subscription.items.data[0].id, "price": shop.prices["bigger"]}
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)
    await shop.api.v1.subscriptions.update_async(subscription.id, {"items": [item]})
    await shop.driver.advance_clock(clock, START + 31 * DAY * 3 // 4)
    await downgrade(shop, subscription)
    items = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    assert [item.amount for item in items] == [250, -750, 1500, -500]


@pytest.mark.parametrize(
    ("interval", "furthest"), [(None, START + 730 * DAY), ("month", START + 59 * DAY)]
)
async def test_a_test_clock_advances_two_intervals_at_most(shop, interval, furthest):
    clock, customer = await customer_with_card(shop)
    if interval:
        await subscribe(shop, customer, "yearly")
        await subscribe(shop, customer)
    advance = shop.api.v1.test_helpers.test_clocks.advance_async
    with pytest.raises(stripe.InvalidRequestError, match="two intervals") as refused:
        await advance(clock, {"frozen_time": furthest + 1})
    assert refused.value.param == "frozen_time"
    assert (await advance(clock, {"frozen_time": furthest})).frozen_time == furthest


async def test_the_sandbox_itself_advances_a_test_clock_further_but_never_back(shop, driver):
    clock, customer = await customer_with_card(shop)
    await subscribe(shop, customer)
    await driver.advance_clock(clock, START + 200 * DAY)
    found = await shop.api.v1.test_helpers.test_clocks.retrieve_async(clock)
    assert (found.frozen_time, found.status) == (START + 200 * DAY, "ready")
    with pytest.raises(Exception, match="400"):
        await driver.advance_clock(clock, START + DAY)


class TestDefaultChoices:
    @pytest.fixture
    def config(self, receiver) -> SandboxConfig:
        return SandboxConfig(webhooks=(WebhookTarget(receiver.url, SECRET),))

    async def test_events_on_a_test_clock_are_dated_by_real_time(self, shop):
        clock, customer = await shop.clocked_customer()
        await shop.buy(customer=customer)
        await shop.driver.advance_clock(clock, FEBRUARY + HOUR)
        await shop.driver.wait_idle()
        now = await shop.driver.now()
        assert all(now - 600 < event["created"] <= now for event in shop.receiver.events)
        invoice = shop.receiver.last("invoice.created")["data"]["object"]
        assert invoice["created"] == FEBRUARY


class TestOtherChoices:
    @pytest.fixture
    def config(self, receiver) -> SandboxConfig:
        target = WebhookTarget(receiver.url, SECRET)
        return SandboxConfig(webhooks=(target,), choices=Choices(upcoming_invoice_ids=False))

    async def test_an_upcoming_invoice_may_have_no_id(self, shop):
        clock, customer = await shop.clocked_customer()
        await shop.buy(customer=customer)
        await shop.driver.advance_clock(clock, FEBRUARY - DAY)
        await shop.driver.wait_idle()
        assert "id" not in shop.receiver.last("invoice.upcoming")["data"]["object"]
        assert shop.receiver.problems == ["invoice.upcoming.id: missing"]
        shop.receiver.problems.clear()


async def test_a_discount_of_an_item_comes_off_its_line_before_those_of_the_subscription(shop):
    _, customer = await customer_with_card(shop)
    await add_coupon(shop, "HALF", percent_off=50)
    await add_coupon(shop, "ONE", amount_off=100, currency="usd")
    items = [{"price": shop.prices["monthly"], "discounts": [{"coupon": "HALF"}]}]
    made = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": items, "discounts": [{"coupon": "ONE"}]}
    )
    assert [i.total for i in await shop.invoices(made.id)] == [400]
    (item,) = made["items"].data
    (listed,) = (
        await shop.api.v1.subscription_items.list_async(
            {"subscription": made.id, "expand": ["data.discounts.source.coupon"]}
        )
    ).data
    (discount,) = listed.discounts
    assert (discount.source.coupon.id, discount.subscription_item) == ("HALF", item.id)
    replaced = [{"id": item.id, "discounts": ""}]
    await shop.api.v1.subscriptions.update_async(made.id, {"items": replaced})
    preview = await shop.api.v1.invoices.create_preview_async({"subscription": made.id})
    assert preview.total == 900


async def test_a_discount_of_an_item_for_one_invoice_is_used_up_by_it(shop, receiver):
    _, customer = await customer_with_card(shop)
    await add_coupon(shop, duration="once")
    items = [{"price": shop.prices["monthly"], "discounts": [{"coupon": "TEN"}]}]
    made = await shop.api.v1.subscriptions.create_async({"customer": customer, "items": items})
    assert [i.total for i in await shop.invoices(made.id)] == [900]
    assert made["items"].data[0].discounts == []
    await shop.driver.wait_idle()
    gone = receiver.last("customer.discount.deleted")["data"]["object"]
    assert gone["subscription_item"] == made["items"].data[0].id


async def test_the_coupon_of_a_discount_is_expanded_even_after_it_was_deleted(shop):
    _, customer = await customer_with_card(shop)
    await add_coupon(shop)
    made = await subscribe(shop, customer, discounts=[{"coupon": "TEN"}])
    await shop.api.v1.coupons.delete_async("TEN")
    found = await shop.api.v1.subscriptions.retrieve_async(
        made.id, {"expand": ["discounts.source.coupon.applies_to"]}
    )
    assert found.discounts[0].source.coupon.percent_off == 10


@pytest.mark.parametrize(("way", "expected"), [("deleted", ["deleted"]), ("silent", [])])
async def test_a_used_up_coupon_may_end_silently(shop, sandbox, way, expected):
    choices = sandbox.world.choices
    sandbox.world.choices = dataclasses.replace(choices, used_up_discounts=way)
    await add_coupon(shop, duration="once")
    bought = await shop.buy(discounts=[{"coupon": "TEN"}])
    assert bought.discounts == []
    await shop.driver.wait_idle()
    kinds = [t.rpartition(".")[2] for t in shop.receiver.types() if ".discount." in t]
    assert kinds == ["created", *expected]


@pytest.mark.parametrize(("way", "flag"), [("kept", True), ("cleared", False)])
async def test_an_immediate_end_may_clear_the_flag_of_the_later_one(shop, sandbox, way, flag):
    sandbox.world.choices = dataclasses.replace(sandbox.world.choices, ended_flag=way)
    bought = await shop.buy()
    await shop.api.v1.subscriptions.update_async(bought.id, {"cancel_at_period_end": True})
    ended = await shop.api.v1.subscriptions.cancel_async(bought.id)
    assert ended.cancel_at_period_end is flag
