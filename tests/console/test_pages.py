"""What the pages show, and what is done on them."""

import json
import re

import pytest

from mpanel_billing.console.routes.work import MOST
from stripe_sandbox import Sandbox
from tests.console.conftest import Console, Ids, signed_in
from tests.inline_worker import InlineWorker
from tests.service import Service


async def audited(service: Service, action: str) -> list[tuple[str, str, str]]:
    rows = await service.pool.fetch(
        "SELECT person, target_id, outcome FROM billing_audit_log WHERE action = $1 ORDER BY id",
        action,
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("text", ["ada@example.com", "ada", "Lovelace", "{subscription}"])
async def test_a_customer_is_found_by_what_is_known_of_them(
    console: Console, ids: Ids, text: str
) -> None:
    asked = text.format(subscription=ids.subscription)
    shown = await console.open(f"/console/find?q={asked}")
    assert "Ada Lovelace" in shown.text
    assert f"/console/customers/{ids.customer}" in shown.links


async def test_a_text_that_is_too_short_to_search_for_is_told(console: Console) -> None:
    assert "At least 2 characters, please." in (await console.open("/console/find?q=a")).text
    assert "At least" not in (await console.open("/console/find")).text


async def test_what_is_searched_for_and_not_found_is_said_and_never_markup(
    console: Console,
) -> None:
    shown = await console.open("/console/find?q=<script>alert(1)</script>")
    assert "Nothing found for <script>alert(1)</script>." in shown.text
    assert "<script>alert" not in shown.html


async def test_a_page_has_all_of_a_customer(console: Console, ids: Ids) -> None:
    shown = await console.open(f"/console/customers/{ids.customer}")
    assert shown.status == 200
    for part in ("Ada Lovelace", "ada@example.com", "cus_", "starter", "hosting active"):
        assert part in shown.text, part
    for part in ("$12.98", "visa ···· 4242", "The whole story", "checkout.session.completed"):
        assert part in shown.text, part
    assert "The subscription goes on" not in shown.text
    assert len(shown.html.encode()) < 60_000


async def test_times_in_what_services_say_are_in_the_zone_of_the_person(
    console: Console, ids: Ids
) -> None:
    service = console.service
    charge = await service.pool.fetchval("SELECT stripe_charge_id FROM stripe_charges")
    await service.stripe.dispute(charge)
    await service.stripe.wait_idle()
    page = await console.open("/console/preferences")
    await console.post("/console/preferences", page, language="de", time_zone="Asia/Kolkata")
    due = await service.pool.fetchval(
        "SELECT to_char(evidence_due_at AT TIME ZONE 'Asia/Kolkata', 'YYYY-MM-DD HH24:MI')"
        " FROM stripe_disputes"
    )
    for path in ("trouble", f"customers/{ids.customer}", f"subscriptions/{ids.subscription}"):
        shown = await console.open(f"/console/{path}")
        assert f"bis {due}" in shown.text, path
        assert " UTC" not in re.sub(r'title="[^"]*"', "", shown.html), path
    await service.pool.execute(
        "UPDATE tenant_services SET last_error = 'down until 2026-13-45 99:99 UTC <b>'"
    )
    shown = await console.open(f"/console/subscriptions/{ids.subscription}")
    assert "down until 2026-13-45 99:99 UTC &lt;b&gt;" in shown.html


async def test_a_term_that_is_not_paid_is_not_called_paid(console: Console, ids: Ids) -> None:
    await console.service.pool.execute("UPDATE subscriptions SET stripe_status = 'past_due'")
    subscription = f"/console/subscriptions/{ids.subscription}"
    for page in ("/console/find?q=ada", f"/console/customers/{ids.customer}", subscription):
        shown = (await console.open(page)).text.lower()
        assert "term to" in shown, page
        assert "paid to" not in shown, page


async def test_every_page_is_small_strict_and_not_stored(console: Console, ids: Ids) -> None:
    for path in (
        "/console/find",
        f"/console/customers/{ids.customer}",
        f"/console/subscriptions/{ids.subscription}",
        f"/console/invoices/{ids.invoice}",
        "/console/trouble",
        "/console/events?status=applied",
        "/console/none-of-these",
    ):
        shown = await console.open(path)
        assert len(shown.html.encode()) < 60_000, path
        policy = shown.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert shown.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=", shown.html), path


async def test_a_note_is_for_other_operators_and_goes_with_the_customer(
    console: Console, ids: Ids
) -> None:
    page = f"/console/customers/{ids.customer}"
    shown = await console.open(page)
    done = await console.post(f"{page}/note", shown, body="  called twice,\n<i>angry</i>  ")
    assert done.headers["Location"] == f"{page}?done=noted"
    after = await console.open(page)
    assert "ada.lovelace called twice, <i>angry</i>" in after.text
    empty = await console.post(f"{page}/note", shown, body=" ")
    assert (empty.status, "A note has 1 to" in empty.text) == (422, True)
    assert await audited(console.service, "customer.note") == [
        ("ada.lovelace", ids.customer, "done")
    ]
    noted = await console.service.pool.fetchval(
        "SELECT details::text FROM billing_audit_log WHERE action = 'customer.note'"
    )
    assert "angry" not in noted  # the log is for ever, a note until the customer is erased
    nobody = await console.post(f"/console/customers/{ids.invoice}/note", shown, body="x")
    assert nobody.status == 404


async def test_a_retry_shows_what_is_wrong_and_is_on_record(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    service = console.service
    await service.pool.execute(
        "UPDATE tenant_services SET actual = 'absent', external_ref = NULL, stopped = 'refused',"
        " attempts = 5, last_error = 'no space left' WHERE product_type = 'hosting'"
    )
    trouble = await console.open("/console/trouble")
    path = f"/console/subscriptions/{ids.subscription}/retry"
    assert path in trouble.links
    shown = await console.open(path)
    assert "hosting: absent → active · last error: no space left" in shown.text
    done = await console.post(path, shown)
    assert done.headers["Location"].endswith("?done=retried")
    after = await console.open(done.headers["Location"])
    assert "The worker tries again now" in after.text
    assert await audited(service, "subscription.retry") == [
        ("ada.lovelace", ids.subscription, "done")
    ]
    await worker.catch_up()
    assert (
        await service.pool.fetchval(
            "SELECT actual FROM tenant_services WHERE product_type = 'hosting'"
        )
        == "active"
    )


async def test_a_page_looks_again_for_what_the_worker_does_and_not_for_ever(
    console: Console, ids: Ids
) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    looks = 0
    shown = await console.open(f"{page}?done=retried")
    while again := re.search(r'hx-get="([^"]+)" hx-trigger="load delay:1s"', shown.html):
        looks += 1
        shown = await console.open(again[1].replace("&amp;", "&"))
    assert looks == 10
    for address in (page, f"{page}?done=cancelled", f"{page}?done=retried&look=99"):
        assert "delay:1s" not in (await console.open(address)).html


async def test_a_suspension_needs_a_reason_and_is_lifted(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    shown = await console.open(f"{page}/suspend")
    assert "hosting: active → suspended" in shown.text
    without = await console.post(f"{page}/suspend", shown, reason="  ")
    assert (without.status, "Please say why" in without.text) == (422, True)
    done = await console.post(f"{page}/suspend", shown, reason="sends <b>spam</b>")
    assert done.status == 303
    await worker.catch_up()
    held = await console.open(page)
    assert "sends <b>spam</b> (ada.lovelace)" in held.text
    assert f"{page}/lift" in held.links
    assert f"{page}/suspend" not in held.links
    twice = await console.post(f"{page}/suspend", shown, reason="again")
    assert (twice.status, "already suspended" in twice.text) == (409, True)
    back = await console.open(f"{page}/lift")
    assert "hosting: comes back" in back.text
    assert (await console.post(f"{page}/lift", back)).status == 303
    await worker.catch_up()
    assert "hosting active" in " ".join(
        (await console.open(f"/console/customers/{ids.customer}")).text.split()
    )
    assert await audited(console.service, "subscription.lift")


async def test_a_part_is_refunded_once_however_often_the_form_is_sent(
    console: Console, ids: Ids
) -> None:
    path = f"/console/invoices/{ids.invoice}/refund"
    shown = await console.open(f"{path}?amount=2.50&reason=duplicate")
    assert "$2.50 goes back to where it was paid from." in shown.text
    assert "$10.48 of the invoice is kept." in shown.text
    fields = {"amount": "2.50", "reason": "duplicate", "key": shown.field("key")}
    for _ in range(2):
        assert (await console.post(path, shown, **fields)).status == 303
    await console.service.stripe.wait_idle()
    row = await console.service.row("SELECT amount_refunded FROM invoices")
    assert row["amount_refunded"] == 250
    after = await console.open(f"/console/invoices/{ids.invoice}")
    assert "$2.50" in after.text
    assert "duplicate" in after.text
    assert ("ada.lovelace", ids.invoice, "done") in await audited(console.service, "invoice.refund")


@pytest.mark.parametrize("amount", ["1000", "1,234.00", "zero"])
async def test_what_cannot_be_refunded_is_said_and_cannot_be_confirmed(
    console: Console, ids: Ids, amount: str
) -> None:
    path = f"/console/invoices/{ids.invoice}/refund"
    shown = await console.open(f"{path}?amount={amount}")
    assert shown.status == 422
    assert 'method="post" action="/console/invoices' not in shown.html
    page = await console.open("/console/preferences")
    assert (await console.post(path, page, amount=amount)).status == 422


async def test_what_is_refused_is_said_in_the_persons_language(console: Console, ids: Ids) -> None:
    german = {"Accept-Language": "de"}
    shown = await console.open(f"/console/invoices/{ids.invoice}/refund?amount=viel", **german)
    assert "'viel' ist kein Betrag in USD: Schreiben Sie ihn wie 12,50." in shown.text
    assert "Diese Seite gibt es nicht." in (await console.open("/console/nothing", **german)).text
    desk = await signed_in(console.service, "admin:read")
    refused = await desk.open("/console/debtors", **german)
    assert "Diesem Schlüssel fehlt das Recht „billing:read“." in refused.text


async def test_the_ceiling_of_a_key_holds_for_refunds_in_the_console(
    service: Service, ids: Ids
) -> None:
    from mpanel_billing.access.key import Limits

    desk = await signed_in(service, "billing", limits=Limits(refunds_per_day=100))
    path = f"/console/invoices/{ids.invoice}/refund"
    shown = await desk.open(f"{path}?amount=2.50")
    refused = await desk.post(path, shown, amount="2.50", key=shown.field("key"))
    assert refused.status == 429
    assert "This key may refund $1.00 a day." in refused.text


async def test_a_cancellation_says_what_ends_when(console: Console, ids: Ids) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    shown = await console.open(f"{page}/cancel")
    assert "Services run until" in shown.text
    assert "The next term is not charged. ($" in shown.text
    unsure = await console.post(f"{page}/cancel", shown, key=shown.field("key"))
    assert (unsure.status, "Please choose when" in unsure.text) == (422, True)
    done = await console.post(
        f"{page}/cancel",
        shown,
        ends="period_end",
        feedback="too_expensive",
        reason="found another",
        key=shown.field("key"),
    )
    assert done.status == 303
    after = await console.open(page)
    assert "none, as it stands" in after.text
    assert await console.service.pool.fetchval("SELECT cancel_at_period_end FROM subscriptions")


async def test_a_failed_event_shows_its_error_first_and_is_replayed(console: Console) -> None:
    pool = console.service.pool
    id_ = await pool.fetchval(
        "UPDATE stripe_events SET status = 'failed', applied_at = NULL, last_error = 'no luck',"
        " next_attempt_at = now() + interval '1 day'"
        " WHERE type = 'invoice.paid' RETURNING id"
    )
    listed = await console.open("/console/events")
    assert "no luck" in listed.text
    shown = await console.open(f"/console/events/{id_}")
    assert shown.text.index("no luck") < shown.text.index("Payload")
    assert '"object": "event"' in shown.text
    done = await console.confirm(f"/console/events/{id_}/replay")
    assert done.status == 303, done.text
    assert (await console.open("/console/events")).text.count("invoice.paid") == 0
    assert await audited(console.service, "event.replay") == [("ada.lovelace", id_, "done")]


async def test_who_owes_is_listed_with_the_reason_and_the_next_attempt(
    console: Console, sandbox: Sandbox
) -> None:
    assert "Nobody owes anything." in (await console.open("/console/debtors")).text
    await console.service.pool.execute(
        "UPDATE invoices SET stripe_status = 'open', amount_remaining = 1098, amount_paid = 0,"
        " attempt_count = 2, next_payment_attempt = now() + interval '3 days'"
    )
    shown = await console.open("/console/debtors")
    assert "Ada Lovelace" in shown.text
    assert "$10.98" in shown.text


async def test_trials_are_listed_by_their_end_with_what_is_charged_then(
    console: Console, ids: Ids
) -> None:
    assert "Nobody is on trial." in (await console.open("/console/trials")).text
    await console.service.pool.execute(
        "UPDATE subscriptions SET stripe_status = 'trialing', trial_end = '2027-01-31 12:00Z',"
        " current_period_end = '2027-01-31 12:00Z'"
    )
    shown = await console.open("/console/trials")
    assert "Ada Lovelace" in shown.text
    assert "2027" in shown.text
    assert "$12.98" in shown.text
    assert f"/console/subscriptions/{ids.subscription}/trial" in shown.links
    await console.service.pool.execute("UPDATE subscriptions SET cancel_at_period_end = TRUE")
    assert "ends without a charge" in (await console.open("/console/trials")).text


@pytest.mark.parametrize(
    "path",
    ["trouble", "watch", "events", "deliveries", "debtors", "trials", "disputes", "disputes?all=1"],
)
async def test_an_empty_list_says_so(console: Console, path: str) -> None:
    shown = await console.open(f"/console/{path}")
    assert shown.status == 200
    assert 'class="none"' in shown.html


async def test_a_long_list_is_cut_and_stays_small(console: Console) -> None:
    payload = json.dumps({"id": "evt", "object": "event"})
    await console.service.pool.execute(
        "INSERT INTO stripe_events (id, type, livemode, status, payload, received_at, last_error,"
        " next_attempt_at) SELECT 'evt_' || n, 'invoice.paid', FALSE, 'failed', $1::jsonb, now(),"
        " repeat('x', 300), now() FROM generate_series(1, 300) AS n",
        json.loads(payload),
    )
    for path in ("/console/events", "/console/trouble?kind=event_failed"):
        shown = await console.open(path)
        assert shown.html.count("<tr>") == MOST + 1
        assert len(shown.html.encode()) < 60_000


async def test_many_of_one_kind_do_not_hide_another(console: Console) -> None:
    await console.service.pool.execute(
        "INSERT INTO stripe_events (id, type, livemode, status, payload, received_at, last_error,"
        " next_attempt_at) SELECT 'evt_' || n, 'invoice.paid', FALSE, 'failed', '{}',"
        " now() - interval '1 day', 'x', now() FROM generate_series(1, 300) AS n"
    )
    await console.service.pool.execute(
        "UPDATE tenant_services SET stopped = 'refused', last_error = 'no space left'"
        " WHERE product_type = 'hosting'"
    )
    shown = await console.open("/console/trouble")
    assert "event_failed 300" in shown.text
    assert "These are the oldest 10. More of this kind" in shown.text
    assert "no space left" in shown.text


async def test_whether_everything_runs_is_shown(console: Console) -> None:
    shown = await console.open("/console/health")
    assert "Worker last seen" in shown.text
    assert shown.status == 200


async def test_an_unknown_page_is_a_page_and_a_fault_tells_nothing(
    console: Console, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    missing = await console.open("/console/nothing-here")
    assert (missing.status, "That did not work" in missing.text) == (404, True)
    wrong = await console.open("/console/customers/not-an-id")
    assert wrong.status == 404

    async def fail(*_: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr("mpanel_billing.console.routes.work.list_trouble", fail)
    broken = await console.open("/console/trouble")
    assert broken.status == 500
    assert "secret" not in broken.html
    assert "Something went wrong on our side" in broken.text
    assert "secret of the inside" in caplog.text


async def test_a_times_zone_is_the_persons_and_utc_is_at_hand(console: Console, ids: Ids) -> None:
    page = await console.open("/console/preferences")
    await console.post("/console/preferences", page, time_zone="Pacific/Kiritimati")
    shown = await console.open(f"/console/invoices/{ids.invoice}")
    found = re.search(
        r'<time datetime="([^"]+)Z" title="([^"]+) UTC">([^<]+:[0-9]{2})</time>', shown.html
    )
    assert found
    assert found[1].replace("T", " ").partition(".")[0] == found[2]
    assert found[3] not in found[2]  # 14 hours later


async def test_when_a_customer_was_erased_is_a_time_as_all_others(
    console: Console, ids: Ids
) -> None:
    await console.service.pool.execute(
        "UPDATE customers SET metadata ="
        " jsonb_build_object('erasedAt', timestamptz '2026-03-29 00:59Z')"
    )
    zone = await console.open("/console/preferences")
    await console.post("/console/preferences", zone, time_zone="Europe/Berlin")
    page = f"/console/customers/{ids.customer}"
    assert "Erased 2026-03-29 01:59" in (await console.open(page)).text
    await console.service.pool.execute(
        "UPDATE customers SET metadata ="
        " jsonb_build_object('erasedAt', timestamptz '2026-03-29 01:00Z')"
    )
    assert "Erased 2026-03-29 03:00" in (await console.open(page)).text  # an hour is left out there


async def test_files_are_served_with_their_types_and_others_are_not(console: Console) -> None:
    for name, kind in (("console.css", "text/css"), ("htmx.min.js", "text/javascript")):
        answer = await console.send("GET", f"/console/files/{name}?v=1")
        assert answer.content_type == kind
        assert "immutable" in answer.headers["Cache-Control"]
    for name in ("htmx.LICENSE", "..%2Fapp.py", "none.js"):
        assert (await console.send("GET", f"/console/files/{name}")).status == 404
