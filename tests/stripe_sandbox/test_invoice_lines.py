"""The lines of a draft: items put on it, changed, taken off; what a new draft takes along."""

import pytest
import stripe

from tests.stripe_sandbox.conftest import Shop

DOLLARS = {"currency": "usd"}


async def draft(shop: Shop, customer: str, *amounts: int) -> stripe.Invoice:
    """Return a draft with a line for each amount."""
    v1 = shop.api.v1
    made = await v1.invoices.create_async({"customer": customer, **DOLLARS})
    lines = [{"amount": amount, "description": f"No. {amount}"} for amount in amounts]
    return await v1.invoices.add_lines_async(made.id, {"lines": lines}) if lines else made


async def test_a_new_draft_takes_pending_items_only_if_it_is_asked_to(shop):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    await v1.invoice_items.create_async({"customer": customer, "amount": 700, **DOLLARS})
    assert (await v1.invoices.create_async({"customer": customer})).total == 0
    asked = {"customer": customer, "pending_invoice_items_behavior": "include"}
    assert (await v1.invoices.create_async(asked)).total == 700


async def test_an_item_can_be_made_on_a_draft(shop):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    made = await draft(shop, customer)
    item = await v1.invoice_items.create_async(
        {"customer": customer, "amount": 700, "invoice": made.id, **DOLLARS}
    )
    assert item.invoice == made.id
    assert (await v1.invoices.retrieve_async(made.id)).total == 700
    paid = await v1.invoices.pay_async(made.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid_off_stripe) == ("paid", 700)


async def test_items_on_a_draft_can_be_changed_and_deleted(shop):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    made = await draft(shop, customer, 300, 400)
    first, second = (line.parent.invoice_item_details.invoice_item for line in made.lines.data)
    await v1.invoice_items.update_async(first, {"amount": 350})
    await v1.invoice_items.delete_async(second)
    found = await v1.invoices.retrieve_async(made.id)
    assert [(line.id, line.amount) for line in found.lines.data] == [(made.lines.data[0].id, 350)]
    assert (found.subtotal, found.total, found.amount_due) == (350, 350, 350)


async def test_a_line_is_changed_with_its_item(shop):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    made = await draft(shop, customer, 300)
    line = made.lines.data[0]
    changed = await v1.invoices.line_items.update_async(
        made.id, line.id, {"pricing": {"price": shop.prices["domain"]}, "quantity": 2}
    )
    item = await v1.invoice_items.retrieve_async(line.parent.invoice_item_details.invoice_item)
    assert changed.id == line.id
    assert changed.amount == item.amount == 2 * 1299
    assert (changed.quantity, item.quantity) == (2, 2)


async def test_several_lines_are_changed_at_once_with_their_taxes_and_discounts(shop):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    made = await draft(shop, customer, 1000, 500)
    vat = await v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 20, "inclusive": False}
    )
    half = await v1.coupons.create_async({"percent_off": 50, "duration": "once"})
    one, other = (line.id for line in made.lines.data)
    changed = await v1.invoices.update_lines_async(
        made.id,
        {
            "invoice_metadata": {"by": "hand"},
            "lines": [
                {"id": one, "tax_rates": [vat.id]},
                {"id": other, "discounts": [{"coupon": half.id}]},
            ],
        },
    )
    assert (changed.subtotal, changed.total) == (1500, 1000 + 200 + 250)
    assert changed.metadata.to_dict() == {"by": "hand"}


async def test_removed_lines_are_gone_or_pending_again(shop):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    made = await draft(shop, customer, 300, 400, 500)
    behaviors = ("delete", "unassign")
    lines = [
        {"id": line.id, "behavior": behavior}
        for line, behavior in zip(made.lines.data, behaviors, strict=False)
    ]
    left = await v1.invoices.remove_lines_async(made.id, {"lines": lines})
    assert left.total == 500
    pending = await v1.invoice_items.list_async({"customer": customer, "pending": True})
    assert [item.amount for item in pending.data] == [400]
    again = await v1.invoices.add_lines_async(
        made.id, {"lines": [{"invoice_item": pending.data[0].id}]}
    )
    assert [line.amount for line in again.lines.data] == [500, 400]


async def test_each_change_is_an_event_of_the_invoice(shop):
    _, customer = await shop.clocked_customer()
    made = await draft(shop, customer, 300)
    await shop.driver.wait_idle()
    assert shop.receiver.types()[-2:] == ["invoiceitem.created", "invoice.updated"]
    assert shop.receiver.last("invoiceitem.created")["data"]["object"]["invoice"] == made.id
    assert shop.receiver.last("invoice.updated")["data"]["previous_attributes"]["total"] == 0


async def test_a_finalized_invoice_is_not_changed(shop):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    made = await draft(shop, customer, 300)
    line = made.lines.data[0]
    await v1.invoices.finalize_invoice_async(made.id, {"auto_advance": False})
    for call in (
        v1.invoices.add_lines_async(made.id, {"lines": [{"amount": 5}]}),
        v1.invoices.line_items.update_async(made.id, line.id, {"amount": 5}),
        v1.invoice_items.delete_async(line.parent.invoice_item_details.invoice_item),
        v1.invoice_items.create_async(
            {"customer": customer, "amount": 5, "invoice": made.id, **DOLLARS}
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await call
        assert refused.value.code == "invoice_not_editable"


async def test_an_item_of_another_customer_or_currency_is_refused(shop):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    _, other = await shop.clocked_customer()
    made = await draft(shop, customer)
    for refused in (
        {"customer": other, "amount": 5, "currency": "usd"},
        {"customer": customer, "amount": 5, "currency": "eur"},
    ):
        with pytest.raises(stripe.InvalidRequestError) as error:
            await v1.invoice_items.create_async({**refused, "invoice": made.id})
        assert error.value.param == "invoice"
    assert (await v1.invoice_items.list_async()).data == []


async def test_a_line_of_a_subscription_keeps_its_amount(shop):
    v1 = shop.api.v1
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    period = subscription["items"].data[0].current_period_end
    await shop.driver.advance_clock(clock, period + 60)
    drafted = (await shop.invoices(subscription.id))[-1]
    line = drafted.lines.data[0]
    said = await v1.invoices.line_items.update_async(
        drafted.id, line.id, {"description": "Hosting", "metadata": {"a": "b"}}
    )
    assert (said.description, said.metadata.to_dict()) == ("Hosting", {"a": "b"})
    with pytest.raises(stripe.InvalidRequestError):
        await v1.invoices.line_items.update_async(drafted.id, line.id, {"amount": 5})
