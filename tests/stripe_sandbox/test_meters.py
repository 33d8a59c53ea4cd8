"""Meters, the usage that is reported to them, and the invoices for it."""

import pytest
import stripe

from tests.stripe_sandbox.calls import add_default_card
from tests.stripe_sandbox.conftest import DAY, START

HOUR = 3600


async def meter(shop, formula="sum", name="requests"):
    return await shop.api.v1.billing.meters.create_async(
        {
            "display_name": "Requests",
            "event_name": name,
            "default_aggregation": {"formula": formula},
        }
    )


async def metered_price(shop, meter_id, **terms):
    amount = {} if "tiers" in terms else {"unit_amount": 3}
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter_id}
    return await shop.api.v1.prices.create_async(
        {"currency": "usd", "product": shop.product, "recurring": recurring, **amount, **terms}
    )


async def report(shop, customer, value, at=None, **more):
    when = {} if at is None else {"timestamp": at}
    return await shop.api.v1.billing.meter_events.create_async(
        {
            "event_name": "requests",
            "payload": {"stripe_customer_id": customer, "value": str(value)},
            **when,
            **more,
        }
    )


async def subscribe(shop, *prices, **params):
    clock, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    order = {"customer": customer, "items": [{"price": price} for price in prices]} | params
    return clock, customer, await shop.api.v1.subscriptions.create_async(order)


async def test_a_meter_is_made_renamed_stopped_and_started(shop):
    meters = shop.api.v1.billing.meters
    made = await meter(shop)
    assert (made.status, made.value_settings.event_payload_key) == ("active", "value")
    with pytest.raises(stripe.InvalidRequestError, match="already an active meter"):
        await meter(shop)
    assert (await meters.update_async(made.id, {"display_name": "Calls"})).display_name == "Calls"
    stopped = await meters.deactivate_async(made.id)
    assert (stopped.status, stopped.status_transitions.deactivated_at > 0) == ("inactive", True)
    for call in (
        meters.deactivate_async(made.id),
        report(shop, "cus_x", 1),
        metered_price(shop, made.id),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            await call
    other = await meter(shop)
    with pytest.raises(stripe.InvalidRequestError, match="already an active meter"):
        await meters.reactivate_async(made.id)
    await meters.deactivate_async(other.id)
    started = await meters.reactivate_async(made.id)
    assert (started.status, started.status_transitions.deactivated_at) == ("active", None)
    assert [m.id for m in (await meters.list_async({"status": "active"})).data] == [made.id]
    await shop.driver.wait_idle()
    told = [e["type"] for e in shop.receiver.events if e["data"]["object"]["id"] == made.id]
    assert told == [
        f"billing.meter.{verb}" for verb in ("created", "updated", "deactivated", "reactivated")
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"timestamp": START - 35 * DAY - 1}, "timestamp_too_far_in_past"),
        ({"timestamp": START + 301}, "timestamp_in_future"),
        ({"event_name": "other"}, "no_meter"),
        ({"payload": {"value": "1"}}, "meter_event_no_customer_defined"),
        ({"payload": {"stripe_customer_id": "cus_x", "value": "1"}},
         "meter_event_customer_not_found"),
        ({"payload": {"stripe_customer_id": "$", "value": "1.5"}}, "meter_event_invalid_value"),
        ({"payload": {"stripe_customer_id": "$"}}, "meter_event_value_not_found"),
        ({"identifier": "once"}, "duplicate_meter_event"),
    ],
)  # fmt: skip
async def test_events_outside_the_limits_are_refused(shop, change, code):
    await meter(shop)
    _, customer = await shop.clocked_customer()
    await report(shop, customer, 1, identifier="once")
    for at in (START - 35 * DAY, START + 300):
        await report(shop, customer, 1, at)
    payload = {"stripe_customer_id": customer, "value": "1"} | change.get("payload", {})
    if "payload" in change:
        payload = {
            key: customer if value == "$" else value for key, value in change["payload"].items()
        }
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.billing.meter_events.create_async(
            {"event_name": "requests", **change, "payload": payload}
        )
    assert refused.value.code == code


async def test_an_identifier_may_come_again_after_a_day(shop):
    await meter(shop)
    clock, customer = await shop.clocked_customer()
    await report(shop, customer, 1, identifier="once")
    await shop.driver.advance_clock(clock, START + DAY)
    await report(shop, customer, 1, identifier="once")


@pytest.mark.parametrize(("formula", "whole", "days"), [
    ("sum", 15, [10, 5]), ("count", 3, [1, 2]), ("last", 10, [10, 4]),
])  # fmt: skip
async def test_summaries_add_up_what_was_used(shop, formula, whole, days):
    made = await meter(shop, formula)
    clock, customer = await shop.clocked_customer()
    await shop.driver.advance_clock(clock, START + 2 * DAY)
    for value, at in ((10, START + DAY), (1, START), (4, START + HOUR), (100, START + 2 * DAY)):
        await report(shop, customer, value, at)
    summaries = shop.api.v1.billing.meters.event_summaries.list_async
    span = {"customer": customer, "start_time": START, "end_time": START + 2 * DAY}
    [summary] = (await summaries(made.id, span)).data
    assert summary.aggregated_value == whole
    windows = (await summaries(made.id, span | {"value_grouping_window": "day"})).data
    assert [(w.aggregated_value, w.start_time) for w in windows] == [
        (days[0], START + DAY), (days[1], START),
    ]  # fmt: skip
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await summaries(made.id, span | {"start_time": START + 1})
    assert refused.value.param == "start_time"


async def test_usage_can_be_taken_back_within_a_day(shop):
    made = await meter(shop)
    clock, customer = await shop.clocked_customer()
    await report(shop, customer, 5, identifier="kept")
    await report(shop, customer, 7, identifier="wrong")
    adjust = shop.api.v1.billing.meter_event_adjustments.create_async
    order = {"event_name": "requests", "type": "cancel", "cancel": {"identifier": "wrong"}}
    assert (await adjust(order)).status == "pending"
    span = {"customer": customer, "start_time": START, "end_time": START + DAY}
    page = await shop.api.v1.billing.meters.event_summaries.list_async(made.id, span)
    assert page.data[0].aggregated_value == 5
    await shop.driver.advance_clock(clock, START + DAY + 1)
    for identifier in ("kept", "unknown"):
        with pytest.raises(stripe.InvalidRequestError):
            await adjust(order | {"cancel": {"identifier": identifier}})


async def test_usage_is_billed_when_its_period_has_ended(shop):
    price = await metered_price(shop, (await meter(shop)).id)
    clock, customer, bought = await subscribe(shop, price.id, shop.prices["monthly"])
    assert bought["items"].data[0].quantity is None
    await report(shop, customer, 200)
    shown = await shop.api.v1.invoices.create_preview_async({"subscription": bought.id})
    assert sorted(line.amount for line in shown.lines.data) == [600, 1000]
    await shop.driver.advance_clock(clock, START + 31 * DAY)
    await report(shop, customer, 50, START + 31 * DAY - 1)
    await report(shop, customer, 9, START + 31 * DAY)
    await shop.driver.advance_clock(clock, START + 31 * DAY + HOUR)
    first, second = await shop.invoices(bought.id)
    assert sorted((line.amount, line.quantity) for line in first.lines.data) == [(0, 0), (1000, 1)]
    [used] = [line for line in second.lines.data if line.amount != 1000]
    assert (used.amount, used.quantity, used.period.end) == (750, 250, START + 31 * DAY)
    assert (second.amount_paid, second.status) == (1750, "paid")
    await shop.driver.advance_clock(clock, START + 60 * DAY)
    third = (await shop.invoices(bought.id))[-1]
    assert third.total == 1000 + 27


@pytest.mark.parametrize(
    ("mode", "usage", "amount"),
    [
        ("graduated", 0, 500),
        ("graduated", 100, 500),
        ("graduated", 150, 500 + 13),
        ("volume", 0, 500),
        ("volume", 100, 500),
        ("volume", 150, 38),
    ],
)
async def test_usage_is_billed_by_tiers_and_fractions(shop, mode, usage, amount):
    tiers = [{"flat_amount": 500, "up_to": 100}, {"unit_amount_decimal": "0.25", "up_to": "inf"}]
    price = await metered_price(
        shop, (await meter(shop)).id, billing_scheme="tiered", tiers_mode=mode, tiers=tiers
    )
    clock, customer, bought = await subscribe(shop, price.id)
    if usage:
        await report(shop, customer, usage)
    await shop.driver.advance_clock(clock, START + 31 * DAY)
    assert [i.total for i in await shop.invoices(bought.id)] == [0, amount]


async def test_usage_that_is_reported_late_reaches_the_next_tier(shop):
    tiers = [{"flat_amount": 500, "up_to": 100}, {"unit_amount": 2, "up_to": "inf"}]
    price = await metered_price(
        shop, (await meter(shop)).id, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers
    )
    clock, customer, bought = await subscribe(shop, price.id)
    await report(shop, customer, 60)
    await shop.driver.advance_clock(clock, START + 31 * DAY)
    _, draft = await shop.invoices(bought.id)
    assert [line.quantity for line in draft.lines.data] == [60, 0]
    await report(shop, customer, 60, timestamp=START + 30 * DAY)
    await shop.driver.advance_clock(clock, START + 31 * DAY + 7200)
    _, invoice = await shop.invoices(bought.id)
    assert [(line.quantity, line.amount) for line in invoice.lines.data] == [
        (100, 0), (0, 500), (20, 40),
    ]  # fmt: skip
    assert (invoice.status, invoice.total) == ("paid", 540)
    assert [line.id for line in invoice.lines.data[:2]] == [line.id for line in draft.lines.data]


async def test_a_fraction_of_a_cent_is_rounded_on_the_invoice(shop):
    decimal = {"unit_amount": "", "unit_amount_decimal": "0.125"}
    price = await metered_price(shop, (await meter(shop)).id, **decimal)
    assert (price.unit_amount, str(price.unit_amount_decimal)) == (None, "0.125")
    clock, customer, bought = await subscribe(shop, price.id)
    await report(shop, customer, 1004)
    await shop.driver.advance_clock(clock, START + 31 * DAY)
    [_, invoice] = await shop.invoices(bought.id)
    assert invoice.total == 126
    assert "at $0.00125 / month" in invoice.lines.data[0].description


async def test_less_than_nothing_costs_nothing(shop):
    price = await metered_price(shop, (await meter(shop)).id)
    clock, customer, bought = await subscribe(shop, price.id)
    for value in (5, -9):
        await report(shop, customer, value)
    await shop.driver.advance_clock(clock, START + 31 * DAY)
    assert [i.total for i in await shop.invoices(bought.id)] == [0, 0]


async def test_usage_of_a_trial_is_free(shop):
    price = await metered_price(shop, (await meter(shop)).id)
    clock, customer, bought = await subscribe(shop, price.id, trial_period_days=10)
    await report(shop, customer, 500)
    await shop.driver.advance_clock(clock, START + 10 * DAY + HOUR)
    await report(shop, customer, 100)
    await shop.driver.advance_clock(clock, START + 41 * DAY)
    assert [i.total for i in await shop.invoices(bought.id)] == [0, 0, 300]


async def test_late_usage_is_discounted_and_taxed_like_the_rest(shop):
    price = await metered_price(shop, (await meter(shop)).id)
    await shop.api.v1.coupons.create_async({"id": "HALF", "percent_off": 50, "duration": "forever"})
    vat = await shop.api.v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 10, "inclusive": False}
    )
    clock, customer, bought = await subscribe(
        shop, price.id, discounts=[{"coupon": "HALF"}], default_tax_rates=[vat.id]
    )
    await shop.driver.advance_clock(clock, START + 31 * DAY)
    await report(shop, customer, 1000, START)
    await shop.driver.advance_clock(clock, START + 31 * DAY + HOUR)
    [_, invoice] = await shop.invoices(bought.id)
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (3000, 1650, 1650)


@pytest.mark.parametrize("how", ["period_end", "now", "now_and_invoice"])
async def test_the_end_of_a_subscription_bills_its_usage(shop, how):
    price = await metered_price(shop, (await meter(shop)).id)
    clock, customer, bought = await subscribe(shop, price.id)
    await report(shop, customer, 100)
    await shop.driver.advance_clock(clock, START + DAY)
    if how == "period_end":
        await shop.api.v1.subscriptions.update_async(bought.id, {"cancel_at_period_end": True})
    else:
        order = {"invoice_now": how == "now_and_invoice"}
        await shop.api.v1.subscriptions.cancel_async(bought.id, order)
    await shop.driver.advance_clock(clock, START + 32 * DAY)
    invoices = [(i.total, i.status) for i in await shop.invoices(bought.id)]
    assert invoices == [(0, "paid")] + ([] if how == "now" else [(300, "paid")])


async def test_metered_items_have_no_quantity_and_no_prorations(shop):
    first = await metered_price(shop, (await meter(shop)).id)
    other = await metered_price(shop, (await meter(shop, name="bytes")).id)
    clock, _, bought = await subscribe(shop, first.id)
    await shop.driver.advance_clock(clock, START + 10 * DAY)
    item = {"id": bought["items"].data[0].id}
    update = shop.api.v1.subscriptions.update_async
    changed = await update(bought.id, {"items": [item | {"price": other.id}]})
    assert changed["items"].data[0].quantity is None
    with pytest.raises(stripe.InvalidRequestError, match="quantity for metered plans"):
        await update(bought.id, {"items": [item | {"quantity": 2}]})
    licensed = await update(bought.id, {"items": [item | {"price": shop.prices["monthly"]}]})
    assert licensed["items"].data[0].quantity == 1
    waiting = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    assert [i.amount for i in waiting] == [677]


async def test_checkout_sells_metered_prices_without_a_quantity(shop):
    price = await metered_price(shop, (await meter(shop)).id)
    with pytest.raises(stripe.InvalidRequestError, match="Remove quantity from `line_items"):
        await shop.open(line_items=[{"price": price.id, "quantity": 1}])
    bought = await shop.buy(line_items=[{"price": price.id}, *shop.lines("monthly")])
    assert [i.total for i in await shop.invoices(bought.id)] == [1000]
    assert [item.quantity for item in bought["items"].data] == [None, 1]


@pytest.mark.parametrize(
    ("recurring", "param"),
    [
        ({"usage_type": "metered"}, "recurring[meter]"),
        ({"meter": "$"}, "recurring[meter]"),
        ({"usage_type": "metered", "meter": "mtr_x"}, "recurring[meter]"),
    ],
)
async def test_only_a_metered_price_has_a_meter(shop, recurring, param):
    made = await meter(shop)
    given = {name: made.id if value == "$" else value for name, value in recurring.items()}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await metered_price(shop, made.id, recurring={"interval": "month", **given})
    assert refused.value.param == param
