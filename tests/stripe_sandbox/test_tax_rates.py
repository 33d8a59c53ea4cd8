"""Tax rates of subscriptions, their items and one-time items."""

import pytest
import stripe

from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.test_billing import add_default_card


async def rate(shop, percentage=20.0, *, inclusive=False) -> str:
    made = await shop.api.v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
    )
    return made.id


async def subscribe(shop, **params):
    clock, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    order = {"customer": customer, "items": [{"price": shop.prices["monthly"]}]} | params
    return clock, await shop.api.v1.subscriptions.create_async(order)


def sums(invoice) -> tuple[int, int, int]:
    return invoice.subtotal, invoice.total_excluding_tax, invoice.total


@pytest.mark.parametrize(
    ("inclusive", "expected", "tax"),
    [(False, (1000, 1000, 1200), 200), (True, (1000, 833, 1000), 167)],
)
async def test_a_rate_of_a_subscription_taxes_its_items(shop, inclusive, expected, tax):
    vat = await rate(shop, inclusive=inclusive)
    _, bought = await subscribe(shop, default_tax_rates=[vat])
    [invoice] = await shop.invoices(bought.id)
    assert sums(invoice) == expected
    assert [t.amount for t in invoice.total_taxes] == [tax]
    [line] = invoice.lines.data
    assert line.taxes[0].tax_rate_details.tax_rate == vat
    assert line.taxes[0].tax_behavior == ("inclusive" if inclusive else "exclusive")


async def test_a_rate_of_an_item_goes_before_that_of_its_subscription(shop):
    low, high = await rate(shop, 5), await rate(shop, 20)
    items = [{"price": shop.prices["monthly"], "tax_rates": [low]}]
    once = {"price": shop.prices["domain"], "tax_rates": [low, high]}
    _, bought = await subscribe(
        shop, items=items, default_tax_rates=[high], add_invoice_items=[once]
    )
    [invoice] = await shop.invoices(bought.id)
    assert invoice.total == 1000 + 50 + 1299 + 65 + 260
    assert {t.tax_rate_details.tax_rate: t.amount for t in invoice.total_taxes} == {
        low: 115, high: 260,
    }  # fmt: skip


async def test_taxes_come_after_discounts_and_on_prorations(shop):
    vat = await rate(shop, 10)
    await shop.api.v1.coupons.create_async({"id": "HALF", "percent_off": 50, "duration": "once"})
    items = [{"price": shop.prices["monthly"], "tax_rates": [vat]}]
    clock, bought = await subscribe(shop, items=items, discounts=[{"coupon": "HALF"}])
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)
    change = {"id": bought["items"].data[0].id, "price": shop.prices["bigger"]}
    await shop.api.v1.subscriptions.update_async(
        bought.id, {"items": [change], "proration_behavior": "always_invoice"}
    )
    assert [sums(i) for i in await shop.invoices(bought.id)] == [
        (1000, 500, 550), (1250, 1250, 1375),
    ]  # fmt: skip


async def test_an_exempt_customer_pays_no_tax(shop):
    vat = await rate(shop)
    _, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    await shop.api.v1.customers.update_async(customer, {"tax_exempt": "exempt"})
    bought = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "default_tax_rates": [vat],
        }
    )
    [invoice] = await shop.invoices(bought.id)
    assert (invoice.total, invoice.lines.data[0].taxes[0].amount) == (1000, 0)


async def test_an_archived_rate_is_refused(shop):
    vat = await rate(shop)
    await shop.api.v1.tax_rates.update_async(vat, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="is archived"):
        await subscribe(shop, default_tax_rates=[vat])
