"""Money beside refunds: credit notes, charges, balances, and what is done about an invoice."""

import re
from typing import Any

import pytest

from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.access.conftest import bearer
from tests.console.conftest import KEY, Console, Ids


async def test_a_credit_note_is_issued_once_and_as_it_was_shown(console: Console, ids: Ids) -> None:
    path = f"/console/invoices/{ids.invoice}/credit"
    assert path in (await console.open(f"/console/invoices/{ids.invoice}")).links
    shown = await console.open(f"{path}?amount=1.50&to=balance&memo=an+outage")
    assert "A credit note of $1.50 is issued" in shown.text
    assert "$1.50 is credited to the customer's balance." in shown.text
    fields = {name: shown.field(name) for name in ("key", "amount", "to", "memo")}
    for _ in range(2):
        done = await console.post(path, shown, **fields)
        assert (done.status, done.headers["Location"].endswith("done=credited")) == (303, True)
    await console.service.stripe.wait_idle()
    rows = await console.service.pool.fetch("SELECT amount, memo FROM stripe_credit_notes")
    assert [tuple(row) for row in rows] == [(150, "an outage")]
    told = await console.service.pool.fetchval(
        "SELECT count(*) FROM billing_audit_log WHERE person = 'ada.lovelace' AND outcome = 'done'"
        " AND action LIKE '%credit_note%'"
    )
    assert told == 1
    too_much = await console.open(f"{path}?amount=9999&to=card")
    assert (too_much.status, "can be refunded" in too_much.text) == (422, True)
    assert "What happens" not in too_much.text


async def test_a_charge_waits_for_the_next_invoice(console: Console, ids: Ids) -> None:
    path = f"/console/subscriptions/{ids.subscription}/charge"
    assert path in (await console.open(f"/console/subscriptions/{ids.subscription}")).links
    assert "Say what is charged" in (await console.open(path)).text
    shown = await console.open(f"{path}?description=Migration&amount=49")
    assert "Migration 1 $49.00" in shown.text
    fields = {name: shown.field(name) for name in ("key", "description", "amount")}
    for _ in range(2):
        done = await console.post(path, shown, reason="by phone", **fields)
        assert done.headers["Location"].endswith("done=charged")
    again = await console.open(f"{path}?description=Help&amount=10")
    for text in ("Migration $49.00", "Migration 1 $49.00"):  # it waits; of the next invoice
        assert again.text.count(text) == 1
    for query in ("description=&amount=5", "description=Help&amount=none"):
        assert (await console.open(f"{path}?{query}")).status == 422


async def test_a_balance_is_moved_as_it_was_shown(console: Console, ids: Ids) -> None:
    path = f"/console/customers/{ids.customer}/balance"
    assert path in (await console.open(f"/console/customers/{ids.customer}")).links
    shown = await console.open(f"{path}?move=add&amount=5&currency=usd&reason=an+outage")
    assert "changes from $0.00 to -$5.00" in shown.text
    fields = {name: shown.field(name) for name in ("key", "amount", "reason")}
    for _ in range(2):
        done = await console.post(path, shown, move="add", currency="usd", **fields)
        assert done.headers["Location"].endswith("done=balance_moved")
    after = await console.open(path)
    assert "-$5.00" in after.text
    assert "an outage" in after.text
    more = await console.open(f"{path}?move=take&amount=6&currency=usd&reason=a+mistake")
    assert (more.status, "$5.00 of credit to take off" in more.text) == (409, True)
    for query in ("amount=5&currency=usd", "amount=5&currency=x&reason=y", "amount=x&reason=y"):
        assert (await console.open(f"{path}?{query}")).status == 422, query


async def test_a_balance_is_in_the_currency_of_what_they_have(console: Console, ids: Ids) -> None:
    await console.service.pool.execute("UPDATE subscriptions SET currency = 'eur'")
    await console.service.pool.execute("UPDATE subscription_items SET currency = 'eur'")
    shown = await console.open(f"/console/customers/{ids.customer}/balance")
    assert re.findall(r'<option value="([a-z]{3})"[^>]*>[A-Z]{3}<', shown.html) == ["eur"]


@pytest.fixture
async def draft(console: Console, ids: Ids) -> str:
    """A draft of $49.00, which is sent to the customer once it is issued."""
    line = {"description": "Migration", "unitAmount": 4900}
    billed: dict[str, Any] = {
        "customerId": ids.customer,
        "currency": "usd",
        "lines": [line],
        "daysUntilDue": 14,
    }
    answer = await console.service.client.post(
        "/api/billing/invoices", json=billed, headers=bearer(KEY)
    )
    body = await answer.json()
    assert answer.status in {200, 201}, body
    return f"/console/invoices/{body['invoice']['id']}"


async def act(console: Console, path: str, **fields: str) -> str:
    done = await console.confirm(path, "key", "owed", **fields)
    assert done.status == 303, done.text
    return done.headers["Location"].partition("done=")[2]


async def test_a_draft_is_issued_and_then_marked_as_paid(console: Console, draft: str) -> None:
    page = await console.open(draft)
    assert {f"{draft}/finalize", f"{draft}/delete"} <= page.links
    assert f"{draft}/void" not in page.links
    assert (await console.open(f"{draft}/void")).status == 409
    assert await act(console, f"{draft}/finalize") == "invoice_finalize"
    issued = await console.open(draft)
    ways = {f"{draft}/{word}" for word in ("pay", "mark-paid", "write-off", "void", "credit")}
    assert ways <= issued.links
    form = await console.open(f"{draft}/mark-paid")
    assert "$49.00 from outside of Stripe" in form.text
    hidden = {name: form.field(name) for name in ("key", "owed")}
    assert (await console.post(f"{draft}/mark-paid", form, **hidden)).status == 422  # no reason
    for _ in range(2):
        done = await console.post(f"{draft}/mark-paid", form, reason="by bank", **hidden)
        assert done.status == 303
    assert "paid" in (await console.open(draft)).text


async def test_an_open_invoice_is_credited_in_part_and_written_off(
    console: Console, draft: str
) -> None:
    await act(console, f"{draft}/finalize")
    form = await console.open(f"{draft}/write-off")
    assert "$49.00 stays owed" in form.text
    credit = await console.open(f"{draft}/credit?amount=9")
    assert "$9.00 less is to be paid" in credit.text
    fields = {name: credit.field(name) for name in ("key", "amount")}
    assert (await console.post(f"{draft}/credit", credit, **fields)).status == 303
    hidden = {name: form.field(name) for name in ("key", "owed")}
    changed = await console.post(f"{draft}/write-off", form, **hidden)
    assert (changed.status, "The preview is outdated" in changed.text) == (409, True)
    assert "$40.00 stays owed" in changed.text
    assert await act(console, f"{draft}/write-off") == "invoice_write-off"
    assert await act(console, f"{draft}/void") == "invoice_void"


async def test_a_draft_that_has_changed_at_stripe_is_not_issued(
    console: Console, gateway: StripeGateway, draft: str
) -> None:
    shown = await console.open(f"{draft}/finalize")
    assert shown.field("owed") == "4900"
    await console.service.stripe.set_delivery(hold=True)  # nobody has told us yet
    row = await console.service.row(
        "SELECT stripe_invoice_id, stripe_customer_id FROM invoices WHERE stripe_status = 'draft'"
    )
    line = {"customer": row["stripe_customer_id"], "invoice": row["stripe_invoice_id"]}
    await gateway.client.v1.invoice_items.create_async(
        {**line, "amount": 100, "currency": "usd"}  # type: ignore[typeddict-item]
    )
    refused = await console.post(f"{draft}/finalize", shown)
    assert (refused.status, "The preview is outdated" in refused.text) == (409, True)
    assert refused.field("owed") == "5000"
    assert (await console.post(f"{draft}/finalize", refused)).status == 303


async def test_a_draft_is_deleted(console: Console, draft: str, ids: Ids) -> None:
    done = await console.confirm(f"{draft}/delete", "key", "owed")
    assert done.headers["Location"].startswith(f"/console/customers/{ids.customer}?")
    assert (await console.open(draft)).status == 404
