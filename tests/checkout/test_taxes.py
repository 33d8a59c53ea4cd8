"""Taxes of new orders: quoted, paid, and declared."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

import pytest
from stripe.params import CustomerCreateTaxIdParams

from mpanel_billing.checkout.tax_ids import TYPES
from mpanel_billing.doctor.taxes import check_taxes
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from stripe_sandbox import Sandbox
from tests.postgres import Stocked
from tests.service import ORDER, Service, make_settings
from tests.subscriptions.conftest import BEARER, KEY
from tests.taxed import FRANCE, GERMANY, PLAIN, SAID, TEXAS, sell, typed


@pytest.fixture
def settings(database_url: str, sandbox: Sandbox) -> Settings:
    return make_settings(
        database_url=database_url,
        stripe_api_base=sandbox.url,
        billing_api_keys=KEY,
        tax="automatic",
    )


@pytest.fixture
def shop(taxed_shop: Stocked, service: Service) -> Service:
    """A seller in New York, who collects taxes in Germany, France and Texas."""
    return service


BUYERS: Mapping[str, Any] = {
    # who, where, currency; what is quoted; what the page is told; tax, total, reason, rate
    "a German company": (GERMANY, "usd", (285, 1785), {"taxId": "DE123456789",
        "businessName": "Lovelace GmbH"}, (0, 1500, "reverse_charge", 19)),
    "a French consumer": (FRANCE, "eur", (250, 1500), {}, (250, 1500, "standard_rated", 20)),
    "a Texan": (TEXAS, "usd", (124, 1624), {}, (124, 1624, "standard_rated", Decimal("8.25"))),
}  # fmt: skip


DECLARED = """
SELECT kind, country, rate, reason, net, tax FROM billing_tax_lines ORDER BY at, kind
"""


@pytest.mark.parametrize("who", BUYERS)
async def test_a_purchase_its_credit_note_and_its_refund_are_taxed_everywhere(
    shop: Service, gateway: StripeGateway, who: str
) -> None:
    place, currency, quoted, told, (tax, total, reason, rate) = BUYERS[who]
    asked = PLAIN | {"currency": currency, "place": place}
    answer = await shop.client.post("/api/checkout/quote", json=asked)
    shown = await answer.json()
    assert answer.status == 200, shown
    behavior = "inclusive" if currency == "eur" else "exclusive"
    assert shown["tax"] == {"behavior": behavior, "amount": quoted[0], "total": quoted[1]}
    assert shown["dueToday"] == 1500

    ordered = await shop.order(PLAIN | {"currency": currency, "customer": ORDER["customer"]})
    paid = await shop.stripe.pay(ordered["url"], **typed(place), **told)
    assert paid.status == 303, paid
    await shop.stripe.wait_idle()
    bill = await shop.row("SELECT * FROM invoices")
    in_units = [Decimal(amount).scaleb(-2) for amount in (total - tax, tax, total)]
    assert [bill["subtotal"], bill["tax_amount"], bill["total"]] == in_units
    assert bill["amount_paid"] == total
    (mirrored,) = bill["taxes"]
    assert (mirrored["amount"], mirrored["net"], mirrored["reason"]) == (tax, total - tax, reason)

    mirror = Mirror(shop.pool, gateway, livemode=False)
    for row in await shop.pool.fetch(
        "SELECT object_id FROM stripe_refetches ORDER BY requested_at"
    ):
        await mirror.refetch(row["object_id"])
    half = total // 2
    path = f"/api/billing/invoices/{bill['id']}"
    asked = {"amount": half, "to": "balance"}
    preview, _, _ = [
        await (await shop.client.post(f"{path}/{what}", json=body, headers=BEARER)).json()
        for what, body in (
            ("preview-credit-note", asked),
            ("credit-notes", asked),
            ("refund", {"amount": total - half}),
        )
    ]
    await shop.stripe.wait_idle()
    back = preview["tax"]
    assert abs(back - tax / 2) <= 2, "plan and setup fee are rounded each"
    kept = await shop.row("SELECT amount, taxes FROM stripe_credit_notes")
    assert (kept["amount"], kept["taxes"][0]["amount"]) == (half, back)
    assert kept["taxes"][0]["net"] == half - back
    lines = {row["kind"]: row for row in await shop.pool.fetch(DECLARED)}
    assert lines.keys() == {"invoice", "credit_note", "refund"}
    assert {(row["country"], row["rate"], row["reason"]) for row in lines.values()} == {
        (place["country"], rate, reason)
    }
    assert [lines["invoice"]["net"], lines["invoice"]["tax"]] == [total - tax, tax]
    assert lines["credit_note"]["tax"] == -back
    share = Decimal(total - half) / total
    for name, whole in (("net", total - tax), ("tax", tax)):
        assert abs(lines["refund"][name] + whole * share) <= Decimal("0.5")
    customer = await shop.row("SELECT name, tax_id FROM customers")
    company = ("Lovelace GmbH", "DE123456789") if told else ("Ada Lovelace", None)
    assert tuple(customer) == company


async def test_a_tax_id_is_verified_in_the_mirror(shop: Service) -> None:
    place, currency, _, told, _ = BUYERS["a German company"]
    ordered = await shop.order(PLAIN | {"currency": currency, "customer": ORDER["customer"]})
    await shop.stripe.pay(ordered["url"], **typed(place), **told)
    await shop.stripe.wait_idle()
    row = await shop.row("SELECT type, value, verification FROM stripe_tax_ids")
    assert tuple(row) == ("eu_vat", "DE123456789", "verified")


async def test_a_reverse_charge_with_an_unverified_tax_id_is_trouble(
    shop: Service, gateway: StripeGateway
) -> None:
    async def troubles() -> list[str]:
        query = "SELECT detail FROM billing_trouble WHERE trouble = 'tax_id_unverified'"
        await shop.stripe.wait_idle()
        return [row["detail"] for row in await shop.pool.fetch(query)]

    order = PLAIN | {"currency": "usd", "customer": ORDER["customer"]}
    ordered = await shop.order(order)
    wrong = {"taxId": "DE111111111", "businessName": "Lovelace GmbH"}
    await shop.stripe.pay(ordered["url"], **typed(GERMANY), **wrong)
    (detail,) = await troubles()
    assert "leaves the tax to them" in detail
    customer = await shop.pool.fetchval("SELECT stripe_customer_id FROM stripe_tax_ids")
    owner: Any = {"type": "customer", "customer": customer}
    await gateway.client.v1.tax_ids.create_async(
        {"type": "eu_vat", "value": "DE000000000", "owner": owner}
    )
    assert await troubles() == []


async def test_a_company_is_whom_the_invoice_is_made_out_to(shop: Service) -> None:
    customer = ORDER["customer"] | {"company": "Engines Ltd", "country": "FR"}
    ordered = await shop.order(PLAIN | {"currency": "eur", "customer": customer})
    stored = await shop.row("SELECT params FROM checkout_sessions")
    at_stripe = stored["params"]["customer"]
    assert at_stripe["name"] == "Engines Ltd"
    assert at_stripe["metadata"]["contact"] == "Ada Lovelace"
    assert stored["params"]["session"]["customer_update"] == {"address": "auto", "name": "auto"}
    await shop.stripe.wait_idle()
    row = await shop.row("SELECT name, company_name FROM customers")
    assert tuple(row) == ("Ada Lovelace", "Engines Ltd")
    assert ordered["url"]


async def test_a_place_that_does_not_say_enough_is_refused(shop: Service) -> None:
    answer = await shop.client.post(
        "/api/checkout/quote", json=PLAIN | {"place": {"country": "US"}}
    )
    assert (answer.status, (await answer.json())["code"]) == (422, "unknown_place")
    answer = await shop.client.post("/api/checkout/quote", json=PLAIN | {"place": None})
    assert (await answer.json())["tax"] == {"behavior": "exclusive", "amount": None, "total": None}


async def test_a_price_without_its_taxes_is_ordered_only_where_they_were_quoted(
    shop: Service,
) -> None:
    order = PLAIN | {"customer": ORDER["customer"], "place": None}
    bridged = {"planId": "starter", "term": "monthly", "email": "ada@example.com"}
    for path, body in (("checkout/create-session", order), ("public/checkout", bridged)):
        answer = await shop.client.post(f"/api/{path}", json=body)
        refused = await answer.json()
        assert (answer.status, refused["code"]) == (422, "place_missing")
        assert refused["fields"] == {"place": "is needed for the taxes"}
        for told in ({"place": TEXAS}, {"currency": "eur"}):  # euros contain them
            answer = await shop.client.post(f"/api/{path}", json=body | told)
            assert answer.status == 200, await answer.json()


async def test_a_price_that_does_not_say_it_is_not_sold_until_it_does(
    service: Service, gateway: StripeGateway
) -> None:
    await sell(service.pool, gateway, "")
    before = await service.pool.fetch("SELECT id, stripe_price_id FROM prices WHERE active")
    order = PLAIN | {"customer": ORDER["customer"]}
    answer = await service.client.post("/api/checkout/create-session", json=order)
    assert (answer.status, (await answer.json())["code"]) == (503, "catalogue_not_pushed")
    (finding,) = await check_taxes(service.pool, gateway, service.settings)
    assert "starter_monthly_eur" in finding.detail
    await sell(service.pool, gateway, SAID)
    after = await service.pool.fetch("SELECT id, stripe_price_id FROM prices WHERE active")
    assert set(before) == set(after)
    price = await gateway.client.v1.prices.retrieve_async(after[0]["stripe_price_id"])
    assert price.tax_behavior in {"inclusive", "exclusive"}
    (finding,) = await check_taxes(service.pool, gateway, service.settings)
    assert finding.detail.startswith("Stripe Tax has no default")
    await sell(service.pool, gateway, 'tax_behavior = "inclusive"')
    changed = await service.pool.fetch("SELECT currency, id FROM prices WHERE active")
    kept = {row["id"] for row in before}
    assert {row["currency"] for row in changed if row["id"] not in kept} == {"usd"}


async def test_a_tax_id_is_quoted_ordered_and_on_the_customer(
    shop: Service, gateway: StripeGateway
) -> None:
    german = {"type": "eu_vat", "value": "DE123456789"}
    asked = PLAIN | {"place": GERMANY, "taxId": german}
    answer = await shop.client.post("/api/checkout/quote", json=asked)
    assert (await answer.json())["tax"] == {"behavior": "exclusive", "amount": 0, "total": 1500}
    company = {"company": "Lovelace GmbH", "taxId": german}
    ordered = await shop.order(PLAIN | {"customer": ORDER["customer"] | company})
    paid = await shop.stripe.pay(ordered["url"], **typed(GERMANY))
    assert paid.status == 303, paid
    await shop.stripe.wait_idle()
    bill = await shop.row("SELECT stripe_invoice_id, amount_paid, taxes FROM invoices")
    assert (bill["amount_paid"], bill["taxes"][0]["reason"]) == (1500, "reverse_charge")
    printed = await gateway.client.v1.invoices.retrieve_async(bill["stripe_invoice_id"])
    assert printed.customer_name == "Lovelace GmbH", "not whose card it is"
    held = await shop.row("SELECT type, value, verification FROM stripe_tax_ids")
    assert tuple(held) == ("eu_vat", "DE123456789", "verified")
    customer = await shop.row("SELECT name, company_name, tax_id FROM customers")
    assert tuple(customer) == ("Ada Lovelace", "Lovelace GmbH", "DE123456789")


async def test_a_malformed_tax_id_is_refused_where_it_is(shop: Service) -> None:
    wrong = {"type": "eu_vat", "value": "DE1"}
    unknown = {"type": "xx_vat", "value": "1"}
    customer = ORDER["customer"]
    for path, body, code, field in (
        ("quote", {"place": GERMANY, "taxId": wrong}, "invalid_tax_id", "taxId"),
        ("quote", {"place": GERMANY, "taxId": unknown}, "invalid_request", "taxId.type"),
        ("create-session", {"customer": customer | {"taxId": wrong}}, "invalid_tax_id",
         "customer.taxId"),
    ):  # fmt: skip
        answer = await shop.client.post(f"/api/checkout/{path}", json=PLAIN | body)
        refused = await answer.json()
        assert (answer.status, refused["code"], list(refused["fields"])) == (422, code, [field])
    right = customer | {"taxId": {"type": "eu_vat", "value": "DE123456789"}}
    assert (await shop.order(PLAIN | {"customer": right}))["url"]


def test_the_types_of_tax_ids_are_those_of_stripe() -> None:
    literal, _ = get_args(CustomerCreateTaxIdParams.__annotations__["type"])
    assert set(get_args(literal)) == TYPES
