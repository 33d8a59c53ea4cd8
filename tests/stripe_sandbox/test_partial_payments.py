"""Payment intents attached to an invoice: parts of it, all of it, and too much."""

import pytest
import stripe

from tests.stripe_sandbox.conftest import Shop


async def sent(shop: Shop, amount: int = 1000) -> tuple[str, str]:
    """Return a customer with a card, and the id of their open invoice."""
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    card = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    settings = {"default_payment_method": card.id}
    await v1.customers.update_async(customer, {"invoice_settings": settings})
    made = await v1.invoices.create_async({"customer": customer, "currency": "usd"})
    await v1.invoices.add_lines_async(made.id, {"lines": [{"amount": amount}]})
    await v1.invoices.finalize_invoice_async(made.id, {"auto_advance": False})
    return customer, made.id


async def pay(shop: Shop, customer: str, amount: int, **params: object) -> stripe.PaymentIntent:
    given = {"amount": amount, "currency": "usd", "customer": customer}
    paid = {"confirm": True, "payment_method": "pm_card_visa", "off_session": True}
    return await shop.api.v1.payment_intents.create_async({**given, **paid, **params})


async def attach(shop: Shop, invoice: str, intent: stripe.PaymentIntent) -> stripe.Invoice:
    return await shop.api.v1.invoices.attach_payment_async(invoice, {"payment_intent": intent.id})


async def events(shop: Shop) -> list[str]:
    await shop.driver.wait_idle()
    return shop.receiver.types()


async def test_parts_add_up_until_the_invoice_is_paid(shop):
    customer, invoice = await sent(shop)
    first = await attach(shop, invoice, await pay(shop, customer, 300))
    assert (first.status, first.amount_paid, first.amount_remaining) == ("open", 300, 700)
    last = await attach(shop, invoice, await pay(shop, customer, 700))
    assert (last.status, last.amount_paid, last.amount_remaining) == ("paid", 1000, 0)
    payments = (await shop.api.v1.invoice_payments.list_async({"invoice": invoice})).data
    found = sorted((one.is_default, one.status, one.amount_paid) for one in payments)
    assert found == [(False, "paid", 300), (False, "paid", 700), (True, "canceled", None)]
    assert (await events(shop)).count("invoice_payment.paid") == 2


async def test_the_invoices_own_payment_asks_for_the_rest(shop):
    customer, invoice = await sent(shop)
    await attach(shop, invoice, await pay(shop, customer, 300))
    paid = await shop.api.v1.invoices.pay_async(invoice)
    assert (paid.status, paid.amount_paid) == ("paid", 1000)
    charges = (await shop.api.v1.charges.list_async({"customer": customer})).data
    assert [charge.amount for charge in charges] == [700, 300]


async def test_a_part_can_be_paid_after_it_is_attached(shop):
    customer, invoice = await sent(shop)
    waiting = await pay(shop, customer, 1000, confirm=None, off_session=None)
    assert (await attach(shop, invoice, waiting)).amount_paid == 0
    await shop.api.v1.payment_intents.confirm_async(waiting.id)
    assert (await shop.api.v1.invoices.retrieve_async(invoice)).status == "paid"


async def test_the_rest_may_be_paid_out_of_band(shop):
    customer, invoice = await sent(shop)
    await attach(shop, invoice, await pay(shop, customer, 300))
    paid = await shop.api.v1.invoices.pay_async(invoice, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid, paid.amount_paid_off_stripe) == ("paid", 300, 700)


async def test_what_is_too_much_goes_to_the_balance(shop):
    customer, invoice = await sent(shop)
    paid = await attach(shop, invoice, await pay(shop, customer, 1250))
    assert (paid.status, paid.amount_overpaid) == ("paid", 250)
    v1 = shop.api.v1
    assert (await v1.customers.retrieve_async(customer)).balance == -250
    [moved] = (await v1.customers.balance_transactions.list_async(customer)).data
    assert (moved.type, moved.amount, moved.invoice) == ("invoice_overpaid", -250, invoice)
    assert "invoice.overpaid" in await events(shop)


async def test_a_payment_that_does_not_fit_is_refused(shop):
    customer, invoice = await sent(shop)
    stranger, other = await sent(shop)
    used = await pay(shop, customer, 100)
    await attach(shop, invoice, used)
    for intent in (
        used,
        await pay(shop, stranger, 100),
        await pay(shop, customer, 100, currency="eur"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await attach(shop, invoice, intent)
        assert refused.value.param == "payment_intent"
    await shop.api.v1.invoices.void_invoice_async(other)
    with pytest.raises(stripe.InvalidRequestError):
        await attach(shop, other, await pay(shop, stranger, 100))
