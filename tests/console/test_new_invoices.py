"""Invoices made by hand in the console: shown, drafted once, issued or deleted on their page."""

from urllib.parse import urlencode

import pytest

from tests.console.conftest import Console, Ids, signed_in
from tests.console.test_pages import audited

LINES = {
    "description_0": "Migration",
    "amount_0": "49",
    "description_1": "Hours of work",
    "quantity_1": "3",
    "amount_1": "80.50",
}
SENT = {**LINES, "currency": "usd", "days_until_due": "14", "memo": "Order 7"}


async def test_the_draft_has_the_lines_that_were_shown_and_is_issued_on_its_page(
    console: Console, ids: Ids
) -> None:
    path = f"/console/customers/{ids.customer}/invoice"
    assert path in (await console.open(f"/console/customers/{ids.customer}")).links
    empty = await console.open(path)
    assert (empty.status, "What happens" in empty.text) == (200, False)
    shown = await console.open(f"{path}?{urlencode(SENT)}")
    assert "A draft is made at Stripe: $290.50 before taxes" in shown.text
    assert "who has 14 days to pay" in shown.text
    assert "Hours of work 3 $80.50 $241.50" in shown.text
    assert 'name="description_4"' in shown.html  # as many empty ones as before
    fields = {**SENT, "key": shown.field("key")}
    for _ in range(2):
        done = await console.post(path, shown, **fields)
        assert done.headers["Location"].endswith("?done=drafted")
    drafts = await console.service.pool.fetch(
        "SELECT id FROM invoices WHERE stripe_status = 'draft'"
    )
    page = f"/console/invoices/{drafts[0]['id']}"
    assert [len(drafts), done.headers["Location"]] == [1, f"{page}?done=drafted"]
    assert "Total, with taxes $290.50" in (await console.open(page)).text
    issuing = await console.open(f"{page}/finalize")
    assert "Migration 1 $49.00" in issuing.text
    await console.confirm(f"{page}/finalize", "key", "owed")
    assert "$290.50" in (await console.open(page)).text
    [(person, _, outcome)] = await audited(console.service, "customer.invoice")
    assert (person, outcome) == ("ada.lovelace", "done")


async def test_it_is_billed_as_a_subscription_is(console: Console, ids: Ids) -> None:
    path = f"/console/customers/{ids.customer}/invoice"
    asked = {**LINES, "subscription": ids.subscription}
    shown = await console.open(f"{path}?{urlencode(asked)}")
    assert "It is taxed as the subscription is" in shown.text
    assert "the customer's card is charged" in shown.text
    done = await console.post(path, shown, **asked, key=shown.field("key"))
    assert done.status == 303
    [(params,)] = await console.service.pool.fetch(
        "SELECT params FROM billing_changes WHERE kind = 'invoice'"
    )
    assert params["default_payment_method"].startswith("pm_")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount_0": "0"}, "is not an amount"),
        ({"amount_0": "much"}, "not an amount"),
        ({"amount_0": "1000000"}, "at most $999,999.99"),
        ({"description_1": ""}, "what is charged"),
        ({"quantity_1": "10000"}, "quantity of 1 to 9999"),
        ({"days_until_due": "366"}, "up to 365 days"),
        ({"currency": "xxx"}, "choose a currency"),
        ({"currency": "eur"}, "does not pay in EUR"),
        ({"subscription": "other"}, "a subscription of this customer"),
    ],
)
async def test_what_cannot_be_billed_is_said_and_kept_in_the_form(
    console: Console, ids: Ids, change: dict[str, str], said: str
) -> None:
    path = f"/console/customers/{ids.customer}/invoice"
    shown = await console.open(f"{path}?{urlencode(SENT | change)}")
    assert shown.status in {404, 422}
    assert said in shown.text
    assert shown.field("memo") == "Order 7"
    assert 'class="confirm"' not in shown.html


async def test_who_may_not_change_is_not_offered_an_invoice(console: Console, ids: Ids) -> None:
    desk = await signed_in(
        console.service, "admin", "billing:read", "billing:refund", "billing:any-customer"
    )
    page = await desk.open(f"/console/customers/{ids.customer}")
    assert f"/console/customers/{ids.customer}/invoice" not in page.links
