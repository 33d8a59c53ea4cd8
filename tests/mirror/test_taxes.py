"""Taxes of invoices and credit notes are read of any API version, and add up."""

from decimal import Decimal
from typing import Any

import pytest

from mpanel_billing.mirror.types import normalise
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.mirror.test_types import TAX_ID, TAX_RATE
from tests.stripe_objects import credit_note, tax

T = 1_790_000_000


SHIFTED = {"taxability_reason": "reverse_charge"}


def line(amount: int, *taxes: dict[str, Any], discount: int = 0) -> dict[str, Any]:
    return {
        "amount": amount,
        "discount_amounts": [{"amount": discount}] if discount else [],
        "period": {"start": T, "end": T + 86_400},
        "taxes": list(taxes),
    }


def lines(*listed: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"object": "list", "has_more": has_more, "data": list(listed)}


def taxes_of(about: dict[str, Any]) -> Any:
    return normalise(about, livemode=False).taxes  # type: ignore[attr-defined]


LINE = {"tax_rate": "txr_1", "inclusive": False, "reason": "standard_rated"}
OLD = {"amount": 160, "inclusive": True, "tax_rate": {"id": "txr_1"}, "taxable_amount": 839}

READ = {
    "none": ({"total_taxes": []}, None),
    "none, of old": ({"tax": None}, None),
    "a rate": (
        {"total_taxes": [tax(160, 839)]},
        [LINE | {"amount": 160, "taxable_amount": 839, "net": 839}],
    ),
    "a rate, before basil": (
        {"total_tax_amounts": [OLD]},
        [
            LINE
            | {"inclusive": True, "reason": None, "amount": 160}
            | {"taxable_amount": 839, "net": 839}
        ],
    ),
    "a sum": (
        {"tax": 160},
        [
            {"tax_rate": None, "inclusive": False, "reason": None, "amount": 160}
            | {"taxable_amount": 839, "net": 839}
        ],
    ),
    "a reverse charge of which the lines say the net": (
        {
            "total_taxes": [tax(0, 0, **SHIFTED)],
            "lines": lines(line(900, tax(0, 0, **SHIFTED), discount=100), line(199)),
        },
        [LINE | {"reason": "reverse_charge", "net": 800}],
    ),
    "a reverse charge with more lines than an event carries": (
        {
            "total_taxes": [tax(0, 0, **SHIFTED)],
            "lines": lines(line(900, tax(0, 0, **SHIFTED)), has_more=True),
        },
        [LINE | {"reason": "reverse_charge", "net": 999}],
    ),
    "two rates, one of which taxes nothing": (
        {
            "total_taxes": [tax(0, 0, taxability_reason="product_exempt"), tax(160, 500)],
            "lines": lines(
                line(
                    600, tax(100, 500, tax_behavior="inclusive"), tax(0, 0, taxability_reason="x")
                ),
                line(299, tax(0, 0, taxability_reason="product_exempt")),
            ),
        },
        [
            LINE | {"reason": "product_exempt", "net": 299},
            LINE | {"amount": 160, "taxable_amount": 500, "net": 500},
        ],
    ),
}


@pytest.mark.parametrize(("fields", "expected"), READ.values(), ids=READ)
def test_the_taxes_of_an_invoice_are_read(fields: dict[str, Any], expected: Any) -> None:
    nothing = {"amount": 0, "taxable_amount": 0}
    wanted = expected and [nothing | one for one in expected]
    assert taxes_of(made.invoice(total=999) | fields) == wanted


def test_those_of_a_credit_note_are_read_in_both_generations() -> None:
    now = credit_note("cn_1", "in_1", total_taxes=[tax(16, 84)])
    before = credit_note("cn_1", "in_1", tax_amounts=[{"amount": 16, "taxable_amount": 84}])
    assert [one["amount"] for note in (now, before) for one in taxes_of(note)] == [16, 16]


@pytest.mark.parametrize("wrong", [{"amount": "16"}, {"taxability_reason": 7}])
async def test_a_tax_that_cannot_be_read_is_kept_with_its_event(inbox: Inbox, wrong: Any) -> None:
    about = made.invoice(total_taxes=[tax(16, 84) | wrong])
    assert await inbox.deliver("invoice.paid", about) == "failed"


async def test_mpanels_columns_and_the_lines_add_up_and_the_rate_is_asked_for_once(
    inbox: Inbox,
) -> None:
    bill = made.invoice(subscription=None, total=1190, total_taxes=[tax(190, 1000)])
    assert await inbox.deliver("invoice.paid", bill, created=T) == "applied"
    row = await inbox.row("SELECT subtotal, tax_rate, tax_amount, total, taxes FROM invoices")
    assert list(row.values())[:4] == [
        Decimal(amount) for amount in ("10.00", "0.1900", "1.90", "11.90")
    ]
    assert [one["amount"] for one in row["taxes"]] == [190]
    asked = "SELECT object_id, object_type FROM stripe_refetches WHERE object_type = 'tax_rate'"
    assert tuple(await inbox.row(asked)) == ("txr_1", "tax_rate")
    await inbox.pool.execute("DELETE FROM stripe_refetches")
    await inbox.deliver("tax_rate.created", TAX_RATE, created=T)
    await inbox.deliver("invoice.updated", bill, created=T + 60)
    note = credit_note("cn_1", "in_1", total_taxes=[tax(16, 84)])
    await inbox.deliver("credit_note.created", note, created=T + 60)
    assert await inbox.pool.fetch(asked) == []


async def test_the_customer_record_has_the_latest_tax_id_that_is_left(inbox: Inbox) -> None:
    await inbox.order()
    older = TAX_ID | {"id": "txi_0", "value": "DE000000000", "created": T - 60}

    async def in_mpanel() -> str | None:
        found: str | None = await inbox.pool.fetchval("SELECT tax_id FROM customers")
        return found

    for about in (TAX_ID, older):
        await inbox.deliver("customer.tax_id.created", about, created=T)
    assert await in_mpanel() == "DE123456789"
    await inbox.deliver("customer.tax_id.deleted", TAX_ID, created=T + 60)
    assert await in_mpanel() == "DE000000000"
    await inbox.pool.execute("UPDATE customers SET tax_id = 'typed in mPanel'")
    await inbox.deliver("customer.tax_id.deleted", older, created=T + 60)
    assert await in_mpanel() == "typed in mPanel"
    assert await inbox.pool.fetchval("SELECT bool_and(deleted) FROM stripe_tax_ids")


async def test_what_a_database_says_of_a_tax_id_is_kept(inbox: Inbox) -> None:
    answer = {"status": "verified", "verified_name": "ADA GMBH", "verified_address": "BERLIN"}
    await inbox.deliver("customer.tax_id.created", TAX_ID, created=T)
    await inbox.deliver("customer.tax_id.updated", TAX_ID | {"verification": answer}, created=T)
    row = await inbox.row(
        "SELECT verification, verified_name, verified_address FROM stripe_tax_ids"
    )
    assert tuple(row) == tuple(answer.values())
    unknown = TAX_ID | {"id": "txi_2", "verification": {"status": "maybe"}}
    assert await inbox.deliver("customer.tax_id.created", unknown) == "failed"
