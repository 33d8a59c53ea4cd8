"""The next charge of a subscription is what Stripe will charge, and when."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.subscriptions.conftest import Backend

FIVE = {"amount_off": 500, "currency": "usd"}
TEN_PERCENT = {"percent_off": 10}
THIRD = {"percent_off": 33.33}
MANY = 7

Terms = dict[str, Any]


async def give_coupon(backend: Backend, number: int, terms: Terms) -> str:
    made = await backend.worker.gateway.client.v1.coupons.create_async(
        {"id": f"C{number}", "name": f"Coupon {number}", "duration": "forever", **terms}
    )
    return made.id


async def update(backend: Backend, bought: str, **params: Any) -> None:
    stripe_id, _ = await backend.stripe_ids(bought)
    await backend.worker.gateway.client.v1.subscriptions.update_async(stripe_id, params)  # type: ignore[arg-type]
    await backend.worker.catch_up()


async def give_discounts(backend: Backend, bought: str, *terms: Terms) -> None:
    # later than the first invoice, which would have used up a coupon of the same second
    await backend.service.stripe.advance_time(await backend.service.stripe.now() + 60)
    coupons = [await give_coupon(backend, *each) for each in enumerate(terms)]
    await update(backend, bought, discounts=[{"coupon": coupon} for coupon in coupons])


async def give_balance(backend: Backend, bought: str, balance: int) -> None:
    _, customer = await backend.stripe_ids(bought)
    await backend.worker.gateway.client.v1.customers.update_async(customer, {"balance": balance})
    await backend.worker.catch_up()


async def items_of(backend: Backend, bought: str) -> dict[str, Any]:
    """Return the items at Stripe, by the product's code."""
    stripe_id, _ = await backend.stripe_ids(bought)
    found = await backend.worker.gateway.client.v1.subscriptions.retrieve_async(stripe_id)
    return {item.price.lookup_key.rpartition("_monthly")[0]: item for item in found["items"].data}


async def expect_charge(backend: Backend, bought: str) -> dict[str, Any]:
    """Return the next charge, which is that of the next invoice as Stripe previews it."""
    shown = await backend.subscription(bought)
    stripe_id, _ = await backend.stripe_ids(bought)
    preview = await backend.worker.gateway.client.v1.invoices.create_preview_async(
        {"subscription": stripe_id}
    )
    charge: dict[str, Any] = shown["nextCharge"]
    found = [charge[name] for name in ("subtotal", "amount", "amountDue")]
    assert found == [preview.subtotal, preview.total, preview.amount_due]
    assert datetime.fromisoformat(charge["at"]) == datetime.fromtimestamp(preview.period_end, UTC)
    return charge


async def cost_of(backend: Backend, bought: str) -> tuple[int, int]:
    """Return the monthly revenue, and what the overview shows for a term."""
    mrr = await backend.service.pool.fetchval("SELECT mrr FROM billing_mrr")
    amount = await backend.service.pool.fetchval(
        "SELECT amount FROM billing_overview WHERE subscription_id::text = $1", bought
    )
    return mrr, amount


@pytest.mark.parametrize(
    "terms",
    [
        [TEN_PERCENT],
        [THIRD],
        [FIVE],
        [FIVE, TEN_PERCENT],
        [TEN_PERCENT, FIVE],
        [{"amount_off": 100_000, "currency": "usd"}],
        [{"percent_off": 100}],
        [TEN_PERCENT | {"duration": "repeating", "duration_in_months": 3}, THIRD],
    ],
    ids=str,
)
async def test_discounts_are_taken_off_as_stripe_does(
    backend: Backend, bought: str, terms: list[Terms]
) -> None:
    await give_discounts(backend, bought, *terms)
    charge = await expect_charge(backend, bought)
    assert charge["discount"] > 0
    assert await cost_of(backend, bought) == (charge["amount"], charge["amount"])
    shown = (await backend.subscription(bought))["discounts"]
    assert [each["name"] for each in shown] == [f"Coupon {n}" for n in range(len(terms))]
    await update(backend, bought, discounts="")
    assert (await expect_charge(backend, bought))["discount"] == 0


async def test_a_discount_of_an_item_comes_off_that_item(backend: Backend, bought: str) -> None:
    items = await items_of(backend, bought)
    half = await give_coupon(backend, 1, {"percent_off": 50})
    ten = await give_coupon(backend, 2, TEN_PERCENT)
    await update(
        backend,
        bought,
        discounts=[{"coupon": ten}],
        items=[{"id": items["addon-backups-daily"].id, "discounts": [{"coupon": half}]}],
    )
    charge = await expect_charge(backend, bought)
    shown = await backend.subscription(bought)
    ids = {item["productId"]: item["id"] for item in shown["items"]}
    assert [(each["coupon"], each["itemId"]) for each in shown["discounts"]] == [
        ("C1", ids["addon-backups-daily"]),
        ("C2", None),
    ]
    assert await cost_of(backend, bought) == (charge["amount"], charge["amount"])


async def test_a_coupon_for_some_products_comes_off_those(backend: Backend, bought: str) -> None:
    items = await items_of(backend, bought)
    product = items["addon-backups-daily"].price.product
    await give_discounts(backend, bought, FIVE | {"applies_to": {"products": [product]}})
    charge = await expect_charge(backend, bought)
    assert charge["discount"] == items["addon-backups-daily"].price.unit_amount


async def test_a_coupon_for_one_invoice_comes_off_the_next_and_is_used_up(
    backend: Backend, bought: str
) -> None:
    await give_discounts(backend, bought, TEN_PERCENT | {"duration": "once"})
    charge = await expect_charge(backend, bought)
    assert charge["discount"] > 0
    assert await cost_of(backend, bought) == (charge["subtotal"], charge["subtotal"])
    await renew(backend, bought)
    assert (await expect_charge(backend, bought))["discount"] == 0
    assert (await backend.subscription(bought))["discounts"] == []


async def test_a_coupon_for_months_ends_with_them(backend: Backend, bought: str) -> None:
    await give_discounts(
        backend, bought, TEN_PERCENT | {"duration": "repeating", "duration_in_months": 1}
    )
    gross = (await backend.subscription(bought))["amount"]
    assert await cost_of(backend, bought) < (gross, gross)
    await renew(backend, bought)
    assert (await expect_charge(backend, bought))["discount"] == 0
    await backend.service.pool.execute("UPDATE subscription_discounts SET ends_at = now()")
    assert await cost_of(backend, bought) == (gross, gross)


async def renew(backend: Backend, bought: str) -> None:
    shown = await backend.subscription(bought)
    end = datetime.fromisoformat(shown["nextCharge"]["at"])
    await backend.service.stripe.advance_time(int(end.timestamp()) + 2 * 3600)
    await backend.worker.catch_up()


@pytest.mark.parametrize("balance", [-300, -100_000, 700])
async def test_the_customers_balance_is_taken_off_or_added(
    backend: Backend, bought: str, balance: int
) -> None:
    await give_discounts(backend, bought, TEN_PERCENT)
    await give_balance(backend, bought, balance)
    charge = await expect_charge(backend, bought)
    assert charge["balance"] == max(balance, -charge["amount"])
    _, stripe_customer = await backend.stripe_ids(bought)
    customer = await backend.customer_of(bought)
    held = [{"stripeCustomerId": stripe_customer, "currency": "usd", "balance": balance}]
    for path, query in (
        ("subscriptions", {"customerId": customer}),
        ("invoices", {"customerId": customer}),
        ("invoices", {"subscriptionId": bought}),
    ):
        response = await backend.get(path, **query)
        assert response.body["balances"] == held
    mpanels = await backend.service.pool.fetchval("SELECT sum(credit_balance) FROM customers")
    assert not mpanels
    await give_balance(backend, bought, 0)
    assert (await expect_charge(backend, bought))["balance"] == 0


async def test_an_item_with_another_term_is_charged_at_its_own_time(
    backend: Backend, bought: str
) -> None:
    """A yearly plan with a monthly add-on."""
    items = await items_of(backend, bought)
    prices = await backend.worker.gateway.client.v1.prices.list_async(
        {"lookup_keys": ["starter_annually_usd", "addon-backups-daily_monthly_usd"]}
    )
    by_key = {price.lookup_key: price for price in prices.data}
    yearly, monthly = by_key["starter_annually_usd"], by_key["addon-backups-daily_monthly_usd"]
    addon = items["addon-backups-daily"]
    await update(
        backend,
        bought,
        items=[{"id": addon.id, "deleted": True}, {"id": items["starter"].id, "price": yearly.id}],
    )
    await update(backend, bought, items=[{"price": monthly.id}], proration_behavior="none")
    shown = await backend.subscription(bought)
    charge = await expect_charge(backend, bought)
    assert shown["billingCycle"] == "annually"
    assert charge["amount"] == monthly.unit_amount
    ends = {item["productId"]: item["currentPeriodEnd"] for item in shown["items"]}
    assert charge["at"] == ends["addon-backups-daily"] < ends["starter"]
    cycles = {item["productId"]: item["billingCycle"] for item in shown["items"]}
    assert cycles == {"starter": "annually", "addon-backups-daily": "monthly"}
    assert yearly.unit_amount is not None
    assert monthly.unit_amount is not None
    mrr, amount = await cost_of(backend, bought)
    assert mrr == round(yearly.unit_amount / 12 + monthly.unit_amount)
    assert amount == yearly.unit_amount + monthly.unit_amount
    await give_discounts(
        backend, bought, {"amount_off": 100, "currency": "usd"}, {"percent_off": 50}
    )
    await expect_charge(backend, bought)
    mrr, _ = await cost_of(backend, bought)
    assert mrr == round(yearly.unit_amount / 24 + round((monthly.unit_amount - 100) / 2))


async def test_an_end_that_is_set_after_the_next_charge_leaves_it(
    backend: Backend, bought: str
) -> None:
    at = await backend.service.stripe.now() + 45 * 86_400
    await update(backend, bought, cancel_at=at)
    shown = await backend.subscription(bought)
    assert shown["willEnd"]
    assert shown["nextCharge"]["at"] == shown["currentPeriodEnd"]
