"""Invoices, credit notes and quotes as PDF, and receipts."""

import re

import pytest
from aiohttp import ClientSession

from stripe_sandbox.pdf import Row, render


async def fetch(url: str) -> tuple[int, str, bytes]:
    async with ClientSession() as browser, browser.get(url) as page:
        return page.status, page.content_type, await page.read()


def texts(pdf: bytes) -> list[str]:
    """Return the texts of a PDF in their order."""
    found = re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", pdf)
    return [re.sub(rb"\\(.)", rb"\1", text).decode("cp1252") for text in found]


@pytest.fixture
async def invoice(shop):
    vat = await shop.api.v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 20, "inclusive": False}
    )
    await shop.api.v1.coupons.create_async({"id": "TEN", "percent_off": 10, "duration": "once"})
    subscription = await shop.buy(
        "monthly",
        "domain",
        subscription_data={"default_tax_rates": [vat.id]},
        discounts=[{"coupon": "TEN"}],
    )
    [invoice] = await shop.invoices(subscription.id)
    return invoice


async def test_an_invoice_has_its_lines_discounts_taxes_and_totals(shop, invoice):
    status, kind, pdf = await fetch(invoice.invoice_pdf)
    assert (status, kind, pdf[:8]) == (200, "application/pdf", b"%PDF-1.4")
    found = texts(pdf)
    assert found[0] == f"Invoice {invoice.number}"
    assert {"Ada Lovelace", "ada@example.com", "Starter", "$12.99"} <= set(found)
    for name, amount in (
        ("Subtotal", "$22.99"),
        ("Discount (TEN)", "-$2.30"),
        ("VAT (20%)", "$4.14"),
        ("Total", "$24.83"),
        ("Amount paid", "-$24.83"),
        ("Amount due", "$0.00"),
    ):
        assert found[found.index(name) + 1] == amount, name


async def test_a_receipt_names_the_card_and_what_has_come_back(shop, invoice):
    [charge] = (await shop.api.v1.charges.list_async({"customer": invoice.customer})).data
    await shop.api.v1.refunds.create_async({"charge": charge.id, "amount": 100})
    status, kind, page = await fetch(charge.receipt_url)
    assert (status, kind) == (200, "text/html")
    for text in (b"$24.83", b"-$1.00", b"visa 4242", b"Subscription creation"):
        assert text in page


async def test_a_finalized_quote_has_a_pdf(shop, sandbox):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    quote = await v1.quotes.create_async(
        {"customer": customer, "line_items": shop.lines("monthly", "domain")}
    )
    url = f"{sandbox.url}/v1/quotes/{quote.id}/pdf"
    async with ClientSession(headers={"Authorization": "Bearer sk_test_x"}) as browser:
        async with browser.get(url) as page:
            assert (page.status, (await page.json())["error"]["type"]) == (
                400, "invalid_request_error",
            )  # fmt: skip
        quote = await v1.quotes.finalize_quote_async(quote.id)
        async with browser.get(url) as page:
            assert page.content_type == "application/pdf"
            found = texts(await page.read())
    assert f"Quote {quote.number}" in found
    assert found[-2:] == ["Total", "$22.99"]
    status, _, _ = await fetch(url)
    assert status == 401


async def test_a_credit_note_has_a_pdf_too(shop, invoice):
    note = await shop.api.v1.credit_notes.create_async(
        {"invoice": invoice.id, "amount": 100, "credit_amount": 100}
    )
    status, kind, pdf = await fetch(note.pdf)
    assert (status, kind) == (200, "application/pdf")
    found = texts(pdf)
    assert found[0] == f"Credit note {note.number}"
    assert f"For invoice {invoice.number}" in found
    assert found[found.index("Total") + 1] == "$1.00"


async def test_what_does_not_exist_has_no_paper(shop, sandbox):
    for path in ("/i/in_x/pdf", "/credit_notes/cn_x/pdf", "/receipts/ch_x"):
        assert (await fetch(sandbox.url + path))[0] == 404


def test_the_index_of_a_file_finds_every_object():
    pdf = render("Long", [Row("x" * 200, "$1.00"), *(Row(f"line {n}") for n in range(100))])
    start = int(re.search(rb"startxref\n(\d+)", pdf)[1])
    places = re.findall(rb"(\d{10}) 00000 n", pdf[start:])
    for number, place in enumerate(places, start=1):
        assert pdf[int(place) :].startswith(b"%d 0 obj" % number)
    assert pdf.count(b"/Type /Page ") == 3
    for length, content in re.findall(
        rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", pdf, re.DOTALL
    ):
        assert int(length) == len(content)


def test_texts_are_escaped_and_written_in_the_code_page():
    pdf = render("(a)", [Row("50 % (half) \\ M\u00fcller \u20ac \u0141\u00f3d\u017a \u4e2d")])
    assert texts(pdf) == ["50 % (half) \\ M\u00fcller \u20ac ?\u00f3dz ?"]
