"""Prices by tiers and in packages."""

import pytest
import stripe

from stripe_sandbox.billing.amounts import amount_of
from tests.stripe_sandbox.calls import add_default_card
from tests.stripe_sandbox.conftest import DAY, START

TIERS = [
    {"unit_amount": 500, "flat_amount": 1000, "up_to": 5},
    {"unit_amount": 400, "up_to": 10},
    {"flat_amount": 300, "unit_amount": 100, "up_to": "inf"},
]


async def tiered(shop, mode="graduated", tiers=TIERS, **params):
    terms = {
        "product": shop.product,
        "currency": "usd",
        "recurring": {"interval": "month"},
        "billing_scheme": "tiered",
        "tiers_mode": mode,
        "tiers": tiers,
    }
    return await shop.api.v1.prices.create_async(terms | params)


@pytest.mark.parametrize(
    ("mode", "quantity", "amount"),
    [
        ("graduated", 0, 1000),
        ("graduated", 5, 3500),
        ("graduated", 6, 3900),
        ("graduated", 10, 5500),
        ("graduated", 12, 6000),
        ("volume", 0, 1000),
        ("volume", 5, 3500),
        ("volume", 6, 2400),
        ("volume", 12, 1500),
    ],
)
async def test_a_quantity_costs_what_its_tiers_say(shop, mode, quantity, amount):
    price = await tiered(shop, mode)
    _, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    bought = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price.id, "quantity": quantity}]}
    )
    assert [i.total for i in await shop.invoices(bought.id)] == [amount]


@pytest.mark.parametrize(
    ("mode", "quantity", "lines"),
    [
        ("graduated", 12, [
            ("5 seat x Starter (Tier 1 at $5.00 / month)", 5, 2500, "500"),
            ("Starter (Tier 1 at $10.00 / month)", 0, 1000, None),
            ("5 seat x Starter (Tier 2 at $4.00 / month)", 5, 2000, "400"),
            ("2 seat x Starter (Tier 3 at $1.00 / month)", 2, 200, "100"),
            ("Starter (Tier 3 at $3.00 / month)", 0, 300, None),
        ]),
        ("volume", 6, [("6 seat x Starter (Tier 2 at $4.00 / month)", 6, 2400, "400")]),
    ],
)  # fmt: skip
async def test_each_tier_that_is_reached_has_its_lines(shop, mode, quantity, lines):
    await shop.api.v1.products.update_async(shop.product, {"unit_label": "seat"})
    price = await tiered(shop, mode)
    invoice = await invoice_of(shop, price, quantity)
    found = [
        (
            line.description.replace("\N{MULTIPLICATION SIGN}", "x"),
            line.quantity,
            line.amount,
            line.pricing.unit_amount_decimal,
        )
        for line in invoice.lines.data
    ]
    assert [(*told, unit and str(unit)) for *told, unit in found] == lines


async def invoice_of(shop, price, quantity):
    _, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    bought = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price.id, "quantity": quantity}]}
    )
    [invoice] = await shop.invoices(bought.id)
    return invoice


async def test_the_flat_fee_of_a_tier_can_be_credited(shop):
    invoice = await invoice_of(shop, await tiered(shop), 12)
    fee = invoice.lines.data[1]
    note = await shop.api.v1.credit_notes.create_async(
        {
            "invoice": invoice.id,
            "credit_amount": 1000,
            "lines": [{"type": "invoice_line_item", "invoice_line_item": fee.id, "quantity": 1}],
        }
    )
    assert note.total == 1000


async def test_tiers_are_sent_only_if_expanded(shop):
    price = await tiered(shop)
    assert "tiers" not in price
    assert (price.unit_amount, price.unit_amount_decimal) == (None, None)
    expanded = await shop.api.v1.prices.retrieve_async(price.id, {"expand": ["tiers"]})
    assert [(t.up_to, t.flat_amount, t.unit_amount) for t in expanded.tiers] == [
        (5, 1000, 500), (10, None, 400), (None, 300, 100),
    ]  # fmt: skip


async def test_a_change_of_quantity_prorates_by_tiers(shop):
    price = await tiered(shop)
    clock, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    bought = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price.id, "quantity": 5}]}
    )
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)
    item = {"id": bought["items"].data[0].id, "quantity": 10}
    await shop.api.v1.subscriptions.update_async(bought.id, {"items": [item]})
    waiting = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    assert sorted(i.amount for i in waiting) == [-1750, 2750]


async def test_checkout_sells_tiered_prices(shop):
    price = await tiered(shop, "volume")
    line = {"price": price.id, "quantity": 6}
    assert (await shop.open(line_items=[line])).amount_total == 2400


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tiers_mode": ""}, "tiers_mode"),
        ({"recurring": ""}, "recurring"),
        ({"unit_amount": 5}, "unit_amount"),
        ({"tiers": TIERS[:2]}, "tiers"),
        ({"tiers": [TIERS[1], TIERS[0], TIERS[2]]}, "tiers"),
        ({"tiers": [{"up_to": "inf"}]}, "tiers[0][unit_amount]"),
        ({"transform_quantity": {"divide_by": 2, "round": "up"}}, "transform_quantity"),
        ({"billing_scheme": "per_unit"}, "tiers"),
    ],
)
async def test_tiers_that_do_not_fit_are_refused(shop, change, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await tiered(shop, **change)
    assert refused.value.param == param


@pytest.mark.parametrize(("direction", "amount"), [("up", 800), ("down", 400)])
def test_packages_are_rounded_up_or_down(direction, amount):
    packages = {"divide_by": 10, "round": direction}
    price = {"transform_quantity": packages, "billing_scheme": "per_unit", "unit_amount": 400}
    assert amount_of(price, 19) == amount
