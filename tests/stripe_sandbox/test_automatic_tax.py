"""Automatic tax: where a customer is, what applies there, and what if nobody knows."""

import pytest
import stripe

from tests.stripe_sandbox.calls import add_default_card
from tests.stripe_sandbox.conftest import DAY, PENDING, START

HOUR = 3600
ON = {"automatic_tax": {"enabled": True}}
GERMANY = {"country": "DE", "postal_code": "10115"}


async def register(shop, *countries, **options):
    for country in countries:
        kind = {"type": "state_sales_tax", "state": "CA"} if country == "US" else {
            "type": "standard"}  # fmt: skip
        await shop.api.v1.tax.registrations.create_async(
            {
                "active_from": "now",
                "country": country,
                "country_options": {country.lower(): kind | options},
            }
        )


async def taxed_price(shop, behavior="exclusive", **terms):
    return await shop.api.v1.prices.create_async(
        {
            "currency": "usd",
            "product": shop.product,
            "unit_amount": 1000,
            "recurring": {"interval": "month"},
            "tax_behavior": behavior,
            **terms,
        }
    )


async def buyer(shop, **facts):
    clock, customer = await shop.clocked_customer()
    await shop.api.v1.customers.update_async(customer, facts)
    return clock, customer


async def subscribe(shop, customer, price, **params):
    await add_default_card(shop, customer)
    order = {"customer": customer, "items": [{"price": price.id}], **ON}
    return await shop.api.v1.subscriptions.create_async(order | params)


def told(invoice) -> tuple[int, list[tuple[int, str]]]:
    return invoice.total, [(t.amount, t.taxability_reason) for t in invoice.total_taxes]


@pytest.mark.parametrize(
    ("behavior", "facts", "expected"),
    [
        ("exclusive", {"address": GERMANY}, (1190, [(190, "standard_rated")])),
        ("inclusive", {"address": GERMANY}, (1000, [(160, "standard_rated")])),
        ("exclusive", {"address": {"country": "FR"}}, (1000, [(0, "not_collecting")])),
        ("exclusive", {"address": {"country": "US", "postal_code": "94105"}},
         (1073, [(73, "standard_rated")])),
        ("exclusive", {"address": {"country": "US", "postal_code": "10001"}},
         (1000, [(0, "not_collecting")])),
        ("exclusive", {"tax": {"ip_address": "198.51.100.7"}}, (1190, [(190, "standard_rated")])),
        ("exclusive", {"address": {"country": "FR"},
                       "shipping": {"name": "Ada", "address": GERMANY}},
         (1190, [(190, "standard_rated")])),
        ("exclusive", {"address": GERMANY, "tax_exempt": "reverse"},
         (1000, [(0, "reverse_charge")])),
        ("exclusive", {"address": GERMANY, "tax_exempt": "exempt"},
         (1000, [(0, "customer_exempt")])),
    ],
)  # fmt: skip
async def test_the_first_place_that_is_known_says_the_tax(shop, behavior, facts, expected):
    await register(shop, "DE", "US")
    _, customer = await buyer(shop, **facts)
    bought = await subscribe(shop, customer, await taxed_price(shop, behavior))
    [invoice] = await shop.invoices(bought.id)
    assert told(invoice) == expected
    assert (invoice.automatic_tax.status, invoice.automatic_tax.provider) == ("complete", "stripe")
    assert (bought.automatic_tax.enabled, bought.automatic_tax.liability.type) == (True, "self")


@pytest.mark.parametrize(
    ("country", "tax_id", "head_office", "reason"),
    [
        ("DE", ("eu_vat", "DE123456789"), "US", "reverse_charge"),
        ("DE", ("eu_vat", "DE123456789"), "DE", "standard_rated"),
        ("DE", ("us_ein", "123456789"), "US", "standard_rated"),
        ("NO", ("no_vat", "123456789MVA"), "DE", "reverse_charge"),
    ],
)
async def test_a_business_abroad_pays_the_tax_itself(shop, country, tax_id, head_office, reason):
    await register(shop, country)
    await shop.api.v1.tax.settings.update_async(
        {"head_office": {"address": {"country": head_office}}}
    )
    _, customer = await buyer(shop, address={"country": country})
    kind, value = tax_id
    await shop.api.v1.customers.tax_ids.create_async(customer, {"type": kind, "value": value})
    bought = await subscribe(shop, customer, await taxed_price(shop))
    [invoice] = await shop.invoices(bought.id)
    assert [t.taxability_reason for t in invoice.total_taxes] == [reason]


async def test_one_stop_shop_covers_the_union_and_one_rate_is_made_for_each_place(shop):
    await register(shop, "IE", type="oss_union")
    price = await taxed_price(shop)
    made = set()
    for country in ("DE", "PL", "DE"):
        _, customer = await buyer(shop, address={"country": country})
        [invoice] = await shop.invoices((await subscribe(shop, customer, price)).id)
        [tax] = invoice.total_taxes
        rate = await shop.api.v1.tax_rates.retrieve_async(tax.tax_rate_details.tax_rate)
        assert (rate.country, rate.active, rate.display_name) == (country, False, "VAT")
        made.add((rate.id, rate.percentage, tax.amount))
    assert sorted((percentage, amount) for _, percentage, amount in made) == [(19, 190), (23, 230)]


async def test_without_a_location_nothing_begins(shop):
    _, customer = await buyer(shop)
    price = await taxed_price(shop)
    order = {"customer": customer, "items": [{"price": price.id}]}
    bought = await shop.api.v1.subscriptions.create_async(order | {"trial_period_days": 5})
    v1 = shop.api.v1
    for call in (
        v1.subscriptions.create_async(order | ON),
        v1.subscriptions.update_async(bought.id, ON),
        v1.customers.update_async(customer, {"tax": {"validate_location": "immediately"}}),
        v1.customers.create_async(
            {"address": {"country": "US"}, "tax": {"validate_location": "immediately"}}
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="location isn't recog") as refused:
            await call
        assert refused.value.code == "customer_tax_location_invalid"


async def test_a_price_has_to_say_whether_the_tax_is_in_it(shop):
    await register(shop, "DE")
    _, customer = await buyer(shop, address=GERMANY)
    price = await taxed_price(shop, "unspecified")
    with pytest.raises(stripe.InvalidRequestError, match="does not have a `tax_behavior` set"):
        await subscribe(shop, customer, price)
    await shop.api.v1.tax.settings.update_async(
        {"defaults": {"tax_behavior": "inferred_by_currency"}}
    )
    [invoice] = await shop.invoices((await subscribe(shop, customer, price)).id)
    assert invoice.total == 1190
    assert shop.receiver.last("tax.settings.updated")


async def test_tax_rates_do_not_go_with_automatic_tax(shop):
    _, customer = await buyer(shop, address=GERMANY)
    rate = await shop.api.v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 5, "inclusive": False}
    )
    with pytest.raises(stripe.InvalidRequestError, match="together with automatic tax"):
        await subscribe(shop, customer, await taxed_price(shop), default_tax_rates=[rate.id])


async def test_a_customer_says_where_they_are_taxed_when_asked(shop):
    _, customer = await buyer(shop)
    retrieve, expand = shop.api.v1.customers.retrieve_async, {"expand": ["tax"]}
    unknown = await retrieve(customer, expand)
    assert (unknown.tax.automatic_tax, unknown.tax.location) == ("unrecognized_location", None)
    await shop.api.v1.customers.update_async(customer, {"tax": {"ip_address": "192.0.2.1"}})
    by_ip = await retrieve(customer, expand)
    assert (by_ip.tax.automatic_tax, by_ip.tax.ip_address) == ("not_collecting", "192.0.2.1")
    assert (by_ip.tax.location.country, by_ip.tax.location.source) == ("US", "ip_address")
    await register(shop, "DE")
    await shop.api.v1.customers.update_async(customer, {"address": GERMANY})
    known = await retrieve(customer, expand)
    assert (known.tax.automatic_tax, known.tax.location.source) == ("supported", "billing_address")
    assert "tax" not in (await retrieve(customer))._data


async def test_a_renewal_without_a_location_is_finalized_untaxed(shop):
    await register(shop, "DE")
    clock, customer = await buyer(shop, address=GERMANY)
    bought = await subscribe(shop, customer, await taxed_price(shop))
    await shop.driver.advance_clock(clock, START + 31 * DAY)
    await shop.api.v1.customers.update_async(customer, {"address": {"country": "US"}})
    await shop.driver.advance_clock(clock, START + 31 * DAY + HOUR)
    [first, second] = await shop.invoices(bought.id)
    assert (first.total, second.total, second.status) == (1190, 1000, "paid")
    assert second.automatic_tax.disabled_reason == "finalization_requires_location_inputs"
    after = (await shop.fetch(bought.id)).automatic_tax
    assert (after.enabled, after.disabled_reason) == (False, "requires_location_inputs")
    await shop.driver.wait_idle()
    event = shop.receiver.last("invoice.updated")["data"]
    assert event["previous_attributes"]["automatic_tax"]["enabled"] is True
    changed = [e["data"] for e in shop.receiver.events
               if e["type"] == "customer.subscription.updated"]  # fmt: skip
    assert any("automatic_tax" in data["previous_attributes"] for data in changed)


async def test_a_draft_of_its_own_waits_for_a_location(shop):
    await register(shop, "DE")
    clock, customer = await buyer(shop)
    v1 = shop.api.v1
    item = {"customer": customer, "currency": "usd"}
    await v1.invoice_items.create_async(item | {"amount": 1000})
    draft = await v1.invoices.create_async(
        {"customer": customer, "auto_advance": True, **ON, **PENDING}
    )
    assert draft.automatic_tax.status == "requires_location_inputs"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await v1.invoices.finalize_invoice_async(draft.id)
    assert refused.value.code == "customer_tax_location_invalid"
    await shop.driver.advance_clock(clock, START + HOUR)
    waiting = await v1.invoices.retrieve_async(draft.id)
    assert (waiting.status, waiting.last_finalization_error.code) == (
        "draft", "customer_tax_location_invalid",
    )  # fmt: skip
    await shop.driver.wait_idle()
    assert shop.receiver.last("invoice.finalization_failed")["data"]["object"]["id"] == draft.id
    await v1.customers.update_async(customer, {"address": GERMANY})
    final = await v1.invoices.finalize_invoice_async(draft.id, {"auto_advance": False})
    assert told(final) == (1190, [(190, "standard_rated")])


async def test_automatic_tax_of_a_draft_goes_off_and_on(shop):
    await register(shop, "DE")
    _, customer = await buyer(shop, address=GERMANY)
    v1 = shop.api.v1
    await v1.invoice_items.create_async({"customer": customer, "amount": 1000, "currency": "usd"})
    draft = await v1.invoices.create_async({"customer": customer, **PENDING})
    for enabled, total in ((True, 1190), (False, 1000)):
        changed = await v1.invoices.update_async(draft.id, {"automatic_tax": {"enabled": enabled}})
        assert (changed.total, changed.automatic_tax.enabled) == (total, enabled)


async def test_an_exempt_product_is_not_taxed_and_previews_are(shop):
    await register(shop, "DE")
    _, customer = await buyer(shop, address=GERMANY)
    bought = await subscribe(shop, customer, await taxed_price(shop))
    preview = shop.api.v1.invoices.create_preview_async
    assert told(await preview({"subscription": bought.id})) == (1190, [(190, "standard_rated")])
    await shop.api.v1.products.update_async(shop.product, {"tax_code": "txcd_00000000"})
    assert told(await preview({"subscription": bought.id})) == (1000, [(0, "product_exempt")])
    codes = await shop.api.v1.tax_codes.list_async({"limit": 2})
    one = await shop.api.v1.tax_codes.retrieve_async(codes.data[0].id)
    assert (one.id, one.object) == ("txcd_00000000", "tax_code")


async def test_a_preview_taxes_a_subscription_that_is_not_taxed_and_leaves_it_so(shop):
    await register(shop, "DE")
    _, customer = await buyer(shop, address=GERMANY)
    off = {"automatic_tax": {"enabled": False}}
    bought = await subscribe(shop, customer, await taxed_price(shop), **off)
    preview = shop.api.v1.invoices.create_preview_async
    assert told(await preview({"subscription": bought.id, **ON})) == (
        1190,
        [(190, "standard_rated")],
    )
    assert told(await preview({"subscription": bought.id})) == (1000, [])
    _, elsewhere = await buyer(shop)
    nowhere = await subscribe(shop, elsewhere, await taxed_price(shop), **off)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await preview({"subscription": nowhere.id, **ON})
    assert refused.value.code == "customer_tax_location_invalid"


async def test_registrations_begin_and_end(shop):
    await register(shop, "DE")
    v1 = shop.api.v1.tax.registrations
    [found] = (await v1.list_async({"status": "active"})).data
    ended = await v1.update_async(found.id, {"expires_at": "now"})
    assert ended.status == "expired"
    assert (await v1.list_async({"status": "active"})).data == []
    assert [r.id for r in (await v1.list_async({"status": "expired"})).data] == [found.id]
    assert (await v1.retrieve_async(found.id)).country_options.de.type == "standard"
    later = await v1.create_async(
        {
            "active_from": 4_000_000_000,
            "country": "NO",
            "country_options": {"no": {"type": "standard"}},
        }
    )
    assert later.status == "scheduled"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await v1.create_async(
            {"active_from": "now", "country": "DE", "country_options": {"no": {"type": "standard"}}}
        )
    assert refused.value.param == "country_options[de]"


async def test_a_credit_note_takes_back_automatic_tax(shop):
    await register(shop, "DE")
    _, customer = await buyer(shop, address=GERMANY)
    bought = await subscribe(shop, customer, await taxed_price(shop))
    [invoice] = await shop.invoices(bought.id)
    line = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id}
    note = await shop.api.v1.credit_notes.create_async(
        {"invoice": invoice.id, "lines": [line | {"amount": 500}], "credit_amount": 595}
    )
    assert (note.total, note.total_taxes[0].amount) == (595, 95)


@pytest.mark.parametrize(
    ("behavior", "total", "back"), [("exclusive", 1190, (595, 95)), ("inclusive", 1000, (500, 80))]
)
async def test_a_credit_note_of_an_amount_takes_back_its_part_of_automatic_tax(
    shop, behavior, total, back
):
    await register(shop, "DE")
    _, customer = await buyer(shop, address=GERMANY)
    bought = await subscribe(shop, customer, await taxed_price(shop, behavior))
    [invoice] = await shop.invoices(bought.id)
    assert invoice.total == total
    half = {"invoice": invoice.id, "amount": total // 2, "credit_amount": total // 2}
    note = await shop.api.v1.credit_notes.create_async(half)
    assert (note.total, note.total_taxes[0].amount) == back
    assert [line.type for line in note.lines.data] == ["invoice_line_item"]
    custom = {"type": "custom_line_item", "unit_amount": 100, "quantity": 1}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.credit_notes.preview_async({"invoice": invoice.id, "lines": [custom]})
    assert refused.value.param == "lines[0][type]"
