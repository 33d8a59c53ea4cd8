"""Checkout with automatic tax, tax ids and shipping addresses."""

import pytest

from tests.stripe_sandbox.calls import refused
from tests.stripe_sandbox.test_automatic_tax import GERMANY, register, taxed_price

TAXED = {"automatic_tax": {"enabled": True}}
AT_HOME = {
    "billingAddressLine1": "Allee 1",
    "billingLocality": "Berlin",
    "billingPostalCode": "10115",
    "billingCountry": "DE",
}
SHIPS = {"shipping_address_collection": {"allowed_countries": ["DE", "FR"]}}
TO_FRANCE = {
    "shippingName": "Ada",
    "shippingAddressLine1": "Rue 1",
    "shippingLocality": "Paris",
    "shippingPostalCode": "75001",
    "shippingCountry": "FR",
}


@pytest.fixture
async def price(shop):
    await register(shop, "DE", "FR")
    return await taxed_price(shop)


async def open_for(shop, price, **params):
    order = {"line_items": [{"price": price.id, "quantity": 1}], **params}
    return await shop.open(**order)


async def finished(shop, session):
    expand = {"expand": ["subscription.latest_invoice", "customer.tax_ids"]}
    return await shop.api.v1.checkout.sessions.retrieve_async(session.id, expand)


async def test_the_page_taxes_a_buyer_where_they_say_they_are(shop, price):
    session = await open_for(shop, price, **TAXED)
    assert (session.automatic_tax.status, session.amount_total) == (
        "requires_location_inputs",
        1000,
    )
    page = await shop.driver.pay(session.id, action="update", **AT_HOME)
    assert (page.status, page.error) == (200, None)
    shown = await finished(shop, session)
    assert (shown.automatic_tax.status, shown.amount_total) == ("complete", 1190)
    assert (await shop.driver.pay(session.id)).error.startswith("Enter an address")
    assert (await shop.driver.pay(session.id, **AT_HOME)).status == 303
    done = await finished(shop, session)
    invoice = done.subscription.latest_invoice
    assert (done.total_details.amount_tax, invoice.total, invoice.status) == (190, 1190, "paid")
    assert done.subscription.automatic_tax.enabled
    assert done.customer.address.country == "DE"


async def test_a_customer_needs_an_address_or_one_that_may_be_saved(shop, price):
    customer = (await shop.api.v1.customers.create_async({"email": "a@example.com"})).id
    with refused("requires a valid address on the Customer"):
        await open_for(shop, price, customer=customer, **TAXED)
    session = await open_for(
        shop, price, customer=customer, customer_update={"address": "auto"}, **TAXED
    )
    await shop.driver.pay(session.id, **AT_HOME)
    assert (await finished(shop, session)).amount_total == 1190
    kept = await shop.api.v1.customers.retrieve_async(customer)
    assert kept.address.city == "Berlin"
    known = await open_for(shop, price, customer=customer, **TAXED)
    assert (known.automatic_tax.status, known.amount_total) == ("complete", 1190)


async def test_a_shipping_address_goes_first_and_is_kept_if_wanted(shop, price):
    session = await open_for(shop, price, **TAXED, **SHIPS)
    elsewhere = {**TO_FRANCE, "shippingCountry": "IT"}
    for form, sentence in ((AT_HOME, "Enter a shipping"), ({**AT_HOME, **elsewhere}, "ships to")):
        assert sentence in (await shop.driver.pay(session.id, **form)).error
    await shop.driver.pay(session.id, **AT_HOME, **TO_FRANCE)
    done = await finished(shop, session)
    assert done.amount_total == 1200
    assert done.collected_information.shipping_details.address.city == "Paris"
    assert done.customer.shipping.name == "Ada"

    customer = (await shop.api.v1.customers.create_async({"address": GERMANY})).id
    for saves in ("never", "auto"):
        update = {"shipping": saves}
        again = await open_for(shop, price, customer=customer, customer_update=update, **SHIPS)
        await shop.driver.pay(again.id, **TO_FRANCE)
        kept = await shop.api.v1.customers.retrieve_async(customer)
        assert bool(kept.shipping) == (saves == "auto")


async def test_a_tax_id_is_kept_with_the_business_and_shifts_the_tax(shop, price):
    collects = {"tax_id_collection": {"enabled": True, "required": "if_supported"}}
    session = await open_for(shop, price, **TAXED, **collects)
    form = {**AT_HOME, "businessName": "Ada GmbH", "taxId": "DE123456789"}
    assert "Enter a tax ID" in (await shop.driver.pay(session.id, **AT_HOME)).error
    assert "Invalid value" in (await shop.driver.pay(session.id, **{**form, "taxId": "DE1"})).error
    assert (await shop.driver.pay(session.id, **form)).status == 303
    done = await finished(shop, session)
    [tax_id] = done.customer_details.tax_ids
    assert (tax_id.type, tax_id.value) == ("eu_vat", "DE123456789")
    assert done.collected_information.business_name == done.customer.name == "Ada GmbH"
    assert [one.value for one in done.customer.tax_ids.data] == ["DE123456789"]
    [tax] = done.subscription.latest_invoice.total_taxes
    assert (done.amount_total, tax.taxability_reason) == (1000, "reverse_charge")


async def test_an_existing_customer_gives_a_tax_id_only_with_their_name(shop, price):
    customer = (await shop.api.v1.customers.create_async({"name": "Ada"})).id
    collects = {"customer": customer, "tax_id_collection": {"enabled": True}}
    with refused("requires updating business name"):
        await open_for(shop, price, **collects)
    session = await open_for(shop, price, customer_update={"name": "auto"}, **collects)
    form = {**AT_HOME, "businessName": "Ada Ltd", "taxId": "DE123456789"}
    await shop.driver.pay(session.id, **form)
    assert (await shop.api.v1.customers.retrieve_async(customer)).name == "Ada Ltd"
    again = await open_for(shop, price, customer_update={"name": "auto"}, **collects)
    await shop.driver.pay(again.id, **{**form, "taxId": "DE987654321"})
    held = await shop.api.v1.customers.tax_ids.list_async(customer)
    assert [one.value for one in held.data] == ["DE123456789"]


async def test_a_payment_and_its_invoice_are_taxed_alike(shop, price):
    once = await taxed_price(shop, recurring=None)
    for invoiced, total in ((False, 1190), (True, 1190)):
        session = await open_for(
            shop, once, mode="payment", invoice_creation={"enabled": invoiced}, **TAXED
        )
        await shop.driver.pay(session.id, **AT_HOME)
        done = await shop.api.v1.checkout.sessions.retrieve_async(
            session.id, {"expand": ["payment_intent"]}
        )
        assert (done.amount_total, done.payment_intent.amount) == (total, total)


async def test_taxes_of_two_kinds_and_prices_that_say_nothing_are_refused(shop, price):
    vat = await shop.api.v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 20, "inclusive": False}
    )
    lines = [{"price": price.id, "quantity": 1, "tax_rates": [vat.id]}]
    with refused("together with automatic tax"):
        await shop.open(line_items=lines, **TAXED)
    with refused("does not have a `tax_behavior`"):
        await shop.open("monthly", **TAXED)
