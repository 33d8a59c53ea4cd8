"""The story of a customer and of a subscription: all that happened, in order, as it was then."""

import re
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.operations import list_timeline
from mpanel_billing.provisioning.timeline import TimelineEntry
from mpanel_billing.subscriptions.disputes import give_evidence
from tests.access.conftest import bearer
from tests.console.conftest import KEY, Console, Ids, Shown
from tests.inline_worker import InlineWorker

DAY = 86_400
NO_FUNDS_LATER = "4000000000000341"
DECLINED = "The bank declined it without a reason that it tells."


def section(shown: Shown, id_: str) -> str:
    """Return the text of a section of a page."""
    part = shown.html.partition(f'id="{id_}"')[2].partition("</section>")[0]
    return Shown(shown.status, f"<p {part}").text


@pytest.fixture
async def owing(console: Console, ids: Ids, worker: InlineWorker) -> str:
    """The id of an open invoice for a second term, whose card was declined."""
    stripe = console.service.stripe
    customer = await console.service.pool.fetchval("SELECT stripe_customer_id FROM subscriptions")
    await stripe.replace_card(customer, NO_FUNDS_LATER)
    await stripe.advance_time(await stripe.now() + 32 * DAY)
    await worker.catch_up()
    row = await console.service.row("SELECT id FROM invoices WHERE stripe_status = 'open'")
    return str(row["id"])


async def test_why_a_renewal_was_declined_is_told_until_it_is_paid(
    console: Console, ids: Ids, owing: str
) -> None:
    """Stripe tells of an invoice's payment once it is paid."""
    pool = console.service.pool
    assert not await pool.fetchval(
        "SELECT count(*) FROM invoice_payments AS p JOIN invoices AS i USING (stripe_invoice_id)"
        " WHERE i.id::text = $1",
        owing,
    )
    assert DECLINED in (await console.open("/console/debtors")).text
    assert DECLINED in (await console.open("/console/debtors.csv")).html
    shown = await console.open(f"/console/customers/{ids.customer}")
    (failed,) = [row for row in shown.html.split("<tr>") if DECLINED in row and "····" in row]
    assert f"/console/invoices/{owing}" in failed
    charge = await pool.fetchval(
        "SELECT stripe_charge_id FROM stripe_charges WHERE status = 'failed'"
    )
    assert charge in section(shown, "timeline")
    assert charge in (await console.open(f"/console/subscriptions/{ids.subscription}")).text


async def told(console: Console, ids: Ids) -> list[TimelineEntry]:
    return [*await list_timeline(console.service.pool, UUID(ids.subscription))]


async def call(console: Console, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await console.service.client.post(
        f"/api/billing/{path}", json=body, headers=bearer(KEY)
    )
    said: dict[str, Any] = await answer.json()
    assert answer.status == 200, said
    return said


@pytest.fixture
async def disputed(console: Console, ids: Ids) -> str:
    """A dispute of the first charge."""
    row = await console.service.row("SELECT stripe_charge_id FROM stripe_charges")
    dispute = await console.service.stripe.dispute(row["stripe_charge_id"])
    await console.service.stripe.wait_idle()
    return dispute


async def test_a_dispute_is_opened_and_later_won_and_each_is_an_entry_of_its_own(
    console: Console, ids: Ids, disputed: str
) -> None:
    await console.service.stripe.decide_dispute(disputed, "won")
    await console.service.stripe.wait_idle()
    entries = [one for one in await told(console, ids) if disputed in f"{one.what} {one.detail}"]
    (opened,) = [one for one in entries if one.kind == "dispute"]
    assert "won" not in (opened.detail or "")
    assert re.search(
        r"opened; fraudulent; evidence until \d{4}-\d\d-\d\d \d\d:\d\d UTC", opened.detail or ""
    )
    events = [one for one in await told(console, ids) if one.kind == "event"]
    (closed,) = [one for one in events if one.what.startswith("charge.dispute.closed")]
    assert "won" in (closed.detail or "")


async def test_what_no_event_tells_is_an_entry_of_when_it_was_found(
    console: Console, ids: Ids, disputed: str
) -> None:
    pool = console.service.pool
    await pool.execute("DELETE FROM stripe_events WHERE object_id = $1", disputed)
    await pool.execute(
        "UPDATE stripe_disputes SET status = 'lost', stripe_as_of_since = stripe_created + interval"
        " '9 days', stripe_as_of = now() + interval '99 days'"
    )
    opened, lost = (one for one in await told(console, ids) if one.kind == "dispute")
    assert (lost.detail, (lost.at - opened.at).days) == ("lost, as it was found then", 9)


async def test_within_a_second_a_cause_comes_first(
    console: Console, ids: Ids, disputed: str
) -> None:
    pool = console.service.pool
    at = await pool.fetchval(
        "UPDATE stripe_disputes SET stripe_created = date_trunc('second', now())"
        " RETURNING stripe_created"
    )
    await pool.execute("UPDATE stripe_charges SET stripe_created = $1", at)
    await pool.execute("UPDATE checkout_sessions SET created_at = $1", at)
    await pool.execute(
        "UPDATE subscriptions SET created_at = $1::timestamptz AT TIME ZONE 'UTC'",
        at,
    )
    await pool.execute("UPDATE stripe_events SET created = $1", at)
    kinds = [one.kind for one in await told(console, ids) if (one.at - at).seconds == 0]
    first = [kinds.index(kind) for kind in ("order", "session", "charge", "dispute", "event")]
    assert first == sorted(first)


async def test_times_in_a_story_are_in_the_zone_of_who_reads(
    console: Console, ids: Ids, disputed: str
) -> None:
    await console.confirm("/console/preferences", time_zone="Asia/Tokyo", language="en")
    due = await console.service.pool.fetchval(
        "SELECT to_char(evidence_due_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD HH24:MI')"
        " FROM stripe_disputes"
    )
    for place in (f"customers/{ids.customer}", f"subscriptions/{ids.subscription}"):
        shown = section(await console.open(f"/console/{place}"), "timeline")
        assert f"evidence until {due};" in shown, shown


async def test_evidence_and_refunds_are_among_what_operators_did(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    service = console.service
    await call(console, f"invoices/{ids.invoice}/refund", {"amount": 100})
    row = await service.row("SELECT stripe_charge_id FROM stripe_charges")
    dispute = await service.stripe.dispute(row["stripe_charge_id"])
    await worker.catch_up()
    mirror = Mirror(service.pool, worker.gateway, livemode=False)
    await give_evidence(mirror, dispute, {}, Actor("desk", person="grace"), submit=False)
    page = await console.open(f"/console/customers/{ids.customer}")
    for action in ("dispute.stage", "invoice.refund"):
        assert action in section(page, "changes")
        assert f"{action} by" in section(page, "timeline")


async def test_a_change_of_plan_says_from_what_to_what(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    path = f"subscriptions/{ids.subscription}"
    await call(console, f"{path}/change-plan", {"planId": "premium", "billingCycle": "monthly"})
    await worker.catch_up()
    page = await console.open(f"/console/customers/{ids.customer}")
    assert re.search(r"from Starter monthly.* to Premium monthly", section(page, "timeline"))
    assert "change_plan → premium" in section(page, "changes")


DELIVERED = """
WITH receiver AS (
    INSERT INTO billing_receivers (name, url, livemode, types, secret, created_by)
    VALUES ('mpanel', 'https://panel.test/messages', FALSE, '{*}', 'whsec_x', 'ada')
    RETURNING id
),
message AS (
    INSERT INTO billing_messages (id, type, object_id, transition, livemode,
        subscription_id, occurred_at, data)
    SELECT 'msg_' || md5(state), 'subscription.active', $1::text, state, FALSE,
        $1::text::uuid, now(), '{}'
    FROM (VALUES ('delivered'), ('given_up')) AS one (state)
    RETURNING id, transition
)
INSERT INTO billing_deliveries (message_id, receiver_id, subscription_id, state, attempts,
    next_attempt_at, tried_at, last_status, last_error)
SELECT message.id, receiver.id, $1::text::uuid, transition, 3, NULL, now(), 500,
    CASE transition WHEN 'given_up' THEN 'no answer' END
FROM message CROSS JOIN receiver
"""


async def test_what_was_delivered_to_mpanel_is_told(console: Console, ids: Ids) -> None:
    await console.service.pool.execute(DELIVERED, ids.subscription)
    details = {one.detail for one in await told(console, ids) if one.kind == "message"}
    assert details == {
        "delivered to mpanel, HTTP 500; attempts: 3",
        "given up to mpanel, HTTP 500 (no answer); attempts: 3",
    }


async def test_every_entry_is_reached_page_by_page(console: Console, ids: Ids) -> None:
    await console.service.pool.execute(
        "INSERT INTO provisioning_log (subscription_id, driver, action, idempotency_key, request,"
        " outcome, duration_ms, created_at)"
        " SELECT $1::uuid, 'log', 'call' || n || '.', n, '{}', 'done', 1,"
        " now() - n / 3 * interval '1 s'"
        " FROM generate_series(1, 200) AS n",
        ids.subscription,
    )
    all_of_them = len(await told(console, ids))
    assert all_of_them > 200
    for place in (f"customers/{ids.customer}", f"subscriptions/{ids.subscription}"):
        path: str = f"/console/{place}"
        seen: list[str] = []
        while path:
            shown = await console.open(path)
            assert shown.status == 200
            part = shown.html if "/story" in path else shown.html.partition('id="timeline"')[2]
            story = part.partition("<table")[2].partition("</table>")[0]
            seen += story.split("<tr>")[2:]
            found = re.search(r'href="([^"]+/story[^"]+)"', shown.html)
            path = found[1].replace("&amp;", "&") if found else ""
        assert len(seen) == len({*seen}) == all_of_them
    assert (await console.open(f"/console/{place}/story?after=nonsense")).status == 422
