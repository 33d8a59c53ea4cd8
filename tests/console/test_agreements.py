"""What is agreed about a debt, in the console: shown before, agreed, and ended."""

from tests.console.conftest import Console, Ids, signed_in
from tests.console.test_pages import audited

OWED = """
UPDATE provisioning_work
SET inputs = inputs || jsonb_build_object(
    'stripeStatus', 'past_due', 'owedSince', to_char(now() - interval '10 days', 'YYYY-MM-DD"T"HH24:MI:SSOF":00"'))
"""  # noqa: E501


async def test_what_is_agreed_is_shown_with_when_it_suspends_and_ends_again(
    console: Console, ids: Ids
) -> None:
    pool, page = console.service.pool, f"/console/subscriptions/{ids.subscription}"
    await pool.execute(OWED)
    owed = await pool.fetchval(
        "SELECT (inputs ->> 'owedSince')::timestamptz FROM provisioning_work"
    )
    assert f"{page}/lenient" in (await console.open(page)).links
    first = await console.open(f"{page}/lenient")
    assert "after 7 days of grace" in first.text
    assert "Enter days of grace, a day, or both." in first.text
    shown = await console.open(f"{page}/lenient?grace_days=30")
    for days in (7, 30):  # as it is, and then
        at = await pool.fetchval("SELECT $1::timestamptz + $2 * interval '1 day'", owed, days)
        assert f"{at:%Y-%m-%d %H:%M}" in shown.text
    refused = await console.post(f"{page}/lenient", shown, grace_days="30")
    assert (refused.status, "say why" in refused.text) == (422, True)
    fields = {"grace_days": "30", "not_before": "", "whole_customer": ""}
    done = await console.post(f"{page}/lenient", shown, **fields, reason="pays by cheque")
    assert done.headers["Location"] == f"{page}?done=agreed"
    after = await console.open(page)
    assert "pays by cheque; 30 days after it is due · ada.lovelace" in after.text
    again = await console.open(f"{page}/lenient?not_before=2031-01-01")
    assert "takes the place of what was agreed before: pays by cheque" in again.text
    ending = await console.open(f"{page}/strict")
    assert "What was agreed is over: pays by cheque" in ending.text
    assert (await console.post(f"{page}/strict", ending)).status == 303
    assert (await console.post(f"{page}/strict", ending)).status == 409
    for action in ("subscription.lenient", "subscription.strict"):
        assert ("ada.lovelace", ids.subscription, "done") in await audited(console.service, action)


async def test_what_is_agreed_with_a_customer_leaves_the_agreement_of_one_subscription(
    console: Console, ids: Ids
) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    own = await console.open(f"{page}/lenient?grace_days=3")
    assert "none; it counts for the next one" in own.text
    await console.post(f"{page}/lenient", own, grace_days="3", reason="misused")
    asked = {"grace_days": "40", "not_before": "2031-01-01", "whole_customer": "yes"}
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    shown = await console.open(f"{page}/lenient?{query}")
    assert "keeps its own agreement" in shown.text
    await console.post(f"{page}/lenient", shown, **asked, reason="an old customer")
    assert f'"{page}/strict?whole_customer=yes"' in (await console.open(page)).html
    ending = await console.open(f"{page}/strict")  # then the customer's counts
    assert "40 days after it is due, not before 2031-01-01 00:00" in ending.text
    whole = await console.open(f"{page}/strict?whole_customer=yes")
    assert "an old customer (with the customer)" in whole.text
    done = await console.post(f"{page}/strict", whole, whole_customer="yes")
    assert done.headers["Location"].endswith("agreement_ended")
    left = await console.service.pool.fetch("SELECT reason FROM billing_leniency")
    assert [row["reason"] for row in left] == ["misused"]


async def test_what_cannot_be_agreed_is_said(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}/lenient"
    for asked, said in (
        ("grace_days=3651", "up to 3650 days"),
        ("grace_days=-1", "whole number"),
        ("not_before=31.1.2031", "date like 2027-01-31"),
    ):
        shown = await console.open(f"{page}?{asked}")
        assert (shown.status, said in shown.text) == (422, True), asked
    assert (await console.open(page.replace("lenient", "strict"))).status == 409
    reader = await signed_in(console.service, "admin:read")
    assert page not in (await reader.open(page.removesuffix("/lenient"))).links
