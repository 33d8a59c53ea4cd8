"""Tax rates of subscriptions, their items and one-time items."""

import pytest
import stripe

from tests.stripe_sandbox.calls import add_default_card
from tests.stripe_sandbox.conftest import DAY, PENDING, START


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


async def test_a_price_that_says_otherwise_refuses_the_rate(shop):
    vat = await rate(shop, inclusive=True)
    price = await shop.api.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 500,
            "product": shop.product,
            "tax_behavior": "exclusive",
            "recurring": {"interval": "month"},
        }
    )
    line = {"price": price.id, "quantity": 1, "tax_rates": [vat]}
    for call in (
        subscribe(shop, items=[{"price": price.id}], default_tax_rates=[vat]),
        shop.open(line_items=[line]),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="conflicts with the tax rates"):
            await call


async def test_checkout_adds_the_taxes_of_its_lines(shop):
    added, included = await rate(shop, 10), await rate(shop, 25, inclusive=True)
    await shop.api.v1.coupons.create_async({"id": "HALF", "percent_off": 50, "duration": "once"})
    [monthly, domain] = shop.lines("monthly", "domain")
    order = {
        "line_items": [monthly | {"tax_rates": [added, included]}, domain],
        "subscription_data": {"default_tax_rates": [added]},
        "discounts": [{"coupon": "HALF"}],
    }
    session = await shop.open(**order)
    # 500 of which a quarter of 400 is included, 10 percent of 400 and of 650 are added
    assert (session.amount_subtotal, session.amount_total) == (2299, 500 + 40 + 649 + 65)
    assert session.total_details.amount_tax == 100 + 40 + 65
    page = await shop.api.v1.checkout.sessions.line_items.list_async(session.id)
    [first, second] = page.data
    assert (first.amount_tax, first.amount_total) == (140, 540)
    assert [(t.rate.id, t.amount, t.taxable_amount) for t in first.taxes] == [
        (added, 40, 400), (included, 100, 400),
    ]  # fmt: skip
    assert (second.amount_tax, second.amount_total) == (65, 714)

    bought = await shop.buy(**order)
    [invoice] = await shop.invoices(bought.id)
    assert (invoice.total, sum(t.amount for t in invoice.total_taxes)) == (1254, 205)
    assert [r.id for r in bought.default_tax_rates] == [added]
    assert [r.id for r in bought["items"].data[0].tax_rates] == [added, included]


async def test_a_draft_takes_other_rates_and_follows_its_customer(shop):
    low, high = await rate(shop, 5), await rate(shop, 20)
    _, customer = await shop.clocked_customer()
    v1 = shop.api.v1
    await v1.invoice_items.create_async({"customer": customer, "amount": 1000, "currency": "usd"})
    draft = await v1.invoices.create_async(
        {"customer": customer, "default_tax_rates": [low], **PENDING}
    )
    assert sums(draft) == (1000, 1000, 1050)
    draft = await v1.invoices.update_async(draft.id, {"default_tax_rates": [low, high]})
    assert (sums(draft), [t.amount for t in draft.total_taxes]) == ((1000, 1000, 1250), [50, 200])
    await v1.customers.update_async(customer, {"tax_exempt": "reverse"})
    final = await v1.invoices.finalize_invoice_async(draft.id, {"auto_advance": False})
    assert (final.customer_tax_exempt, final.total, final.amount_due) == ("reverse", 1000, 1000)
    assert {t.taxability_reason for t in final.total_taxes} == {"reverse_charge"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await v1.invoices.update_async(draft.id, {"default_tax_rates": [low]})
    assert refused.value.code == "invoice_not_editable"


async def test_an_invoice_item_can_be_taxed_until_it_is_invoiced(shop):
    vat, (_, customer) = await rate(shop, 7), await shop.clocked_customer()
    item = await shop.api.v1.invoice_items.create_async(
        {"customer": customer, "amount": 1000, "currency": "usd"}
    )
    await shop.api.v1.invoice_items.update_async(item.id, {"tax_rates": [vat]})
    draft = await shop.api.v1.invoices.create_async({"customer": customer, **PENDING})
    assert draft.total == 1070


async def test_previews_tax_what_they_show(shop):
    vat, other = await rate(shop, 10), await rate(shop, 50)
    clock, bought = await subscribe(shop, default_tax_rates=[vat])
    preview = shop.api.v1.invoices.create_preview_async
    assert (await preview({"subscription": bought.id})).total == 1100
    details = {"default_tax_rates": [other]}
    shown = await preview({"subscription": bought.id, "subscription_details": details})
    assert shown.total == 1500
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)
    change = {"id": bought["items"].data[0].id, "price": shop.prices["bigger"]}
    shown = await preview(
        {"subscription": bought.id,
         "subscription_details": {"items": [change], "proration_behavior": "always_invoice"}}
    )  # fmt: skip
    assert [(line.amount, line.taxes[0].amount) for line in shown.lines.data] == [
        (-500, -50), (1500, 150),
    ]  # fmt: skip


async def test_phases_bring_their_own_rates(shop):
    low, high = await rate(shop, 5), await rate(shop, 20)
    clock, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    item = {"price": shop.prices["monthly"]}
    month = {"interval": "month", "interval_count": 1}
    schedule = await shop.api.v1.subscription_schedules.create_async(
        {"customer": customer, "start_date": "now", "phases": [
            {"items": [item], "default_tax_rates": [low], "duration": month},
            {"items": [item | {"tax_rates": [high]}], "duration": month},
            {"items": [item], "duration": month}]}
    )  # fmt: skip
    assert [r.id for r in schedule.phases[0].default_tax_rates] == [low]
    await shop.api.v1.tax_rates.update_async(high, {"active": False})
    await shop.driver.advance_clock(clock, START + 62 * DAY)
    invoices = await shop.invoices(schedule.subscription)
    assert [i.total for i in invoices] == [1050, 1200, 1000]


async def test_a_schedule_of_a_subscription_keeps_its_rates(shop):
    low, high = await rate(shop, 5), await rate(shop, 20)
    items = [{"price": shop.prices["monthly"], "tax_rates": [high]}]
    _, bought = await subscribe(shop, items=items, default_tax_rates=[low])
    made = await shop.api.v1.subscription_schedules.create_async({"from_subscription": bought.id})
    [phase] = made.phases
    assert [r.id for r in phase.default_tax_rates] == [low]
    assert [r.id for r in phase["items"][0].tax_rates] == [high]


@pytest.mark.parametrize(
    ("inclusive", "part", "whole"),
    [(False, (500, 500, 600, 100), 1200), (True, (500, 417, 500, 83), 1000)],
)
async def test_a_credit_note_credits_the_taxes_of_its_lines(shop, inclusive, part, whole):
    vat = await rate(shop, inclusive=inclusive)
    _, bought = await subscribe(shop, default_tax_rates=[vat])
    [invoice] = await shop.invoices(bought.id)
    line = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id}
    create = shop.api.v1.credit_notes.create_async
    note = await create(
        {"invoice": invoice.id, "lines": [line | {"amount": 500}], "credit_amount": part[2]}
    )
    assert (*sums(note), note.total_taxes[0].amount) == part
    assert note.subtotal_excluding_tax == part[1]
    [credited] = note.lines.data
    assert ([r.id for r in credited.tax_rates], credited.taxes[0].amount) == ([vat], part[3])
    rest = await shop.api.v1.credit_notes.preview_async(
        {"invoice": invoice.id, "lines": [line | {"amount": 500}], "credit_amount": part[2]}
    )
    assert note.total + rest.total == whole == invoice.total


async def test_a_credit_note_names_the_discounts_that_it_takes_back(shop):
    await shop.api.v1.coupons.create_async({"id": "HALF", "percent_off": 50, "duration": "once"})
    vat = await rate(shop)
    _, bought = await subscribe(shop, default_tax_rates=[vat], discounts=[{"coupon": "HALF"}])
    [invoice] = await shop.invoices(bought.id)
    [line] = invoice.lines.data
    assert [c.amount for c in line.pretax_credit_amounts] == [500]
    given = {"type": "invoice_line_item", "invoice_line_item": line.id, "quantity": 1}
    custom = {"type": "custom_line_item", "unit_amount": 1, "quantity": 1, "tax_rates": [vat]}
    note = await shop.api.v1.credit_notes.preview_async(
        {"invoice": invoice.id, "lines": [given], "credit_amount": 600}
    )
    assert (*sums(note), note.discount_amount) == (1000, 500, 600, 500)
    assert [(c.amount, c.type) for c in note.pretax_credit_amounts] == [(500, "discount")]
    assert note.discount_amounts[0].discount == line.discount_amounts[0].discount
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.credit_notes.preview_async(
            {"invoice": invoice.id, "lines": [given | {"tax_rates": [vat]}, custom]}
        )
    assert refused.value.param == "lines[0][tax_rates]"
