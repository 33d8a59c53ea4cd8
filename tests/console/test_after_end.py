"""A draft that waits is collected; who comes back is billed again; what came late is settled."""

import re
from datetime import datetime, timedelta

import pytest

from tests.console.conftest import Console, Shown, signed_in
from tests.console.test_pages import audited
from tests.inline_worker import InlineWorker
from tests.sold import Sold
from tests.subscriptions.conftest import NO_FUNDS_LATER, Backend
from tests.subscriptions.test_after_end import Ended
from tests.subscriptions.test_after_end import ended as ended_fixture
from tests.subscriptions.test_drafts import drafted as drafted_fixture
from tests.subscriptions.test_drafts import invoice_statuses

ended, drafted = ended_fixture, drafted_fixture

GERMAN = {"Accept-Language": "de"}


@pytest.fixture
def backend(console: Console, worker: InlineWorker) -> Backend:
    return Backend(console.service, worker)


@pytest.fixture
def bought(sold_once: Sold) -> str:
    return sold_once.subscription_id


async def test_a_draft_is_issued_and_charged_as_it_was_shown(
    console: Console, backend: Backend, drafted: str
) -> None:
    page = f"/console/subscriptions/{drafted}"
    path = f"{page}/collect-draft"
    await console.service.pool.execute(
        "UPDATE invoices SET stripe_created = now() - interval '4 days', auto_advance = TRUE"
        " WHERE stripe_status = 'draft'"
    )
    assert path in (await console.open("/console/trouble?kind=draft_left")).links
    bookkeeper = await signed_in(console.service, "admin:read", "admin:operate", "billing")
    assert path not in (await bookkeeper.open("/console/trouble?kind=draft_left")).links
    shown = await console.open(path)
    assert "$12.98 of in_" in shown.text
    fields = {name: shown.field(name) for name in ("key", "invoice", "owed")}
    other = await console.post(path, shown, **fields | {"owed": "1"})
    assert (other.status, "The preview is outdated" in other.text) == (409, True)
    assert sorted(await invoice_statuses(backend)) == ["draft", "paid"]
    done = await console.post(path, shown, **fields)
    assert done.headers["Location"] == f"{page}?done=draft_collected"
    assert await invoice_statuses(backend) == ["paid", "paid"]
    assert await audited(console.service, "subscription.collect_draft") == [
        ("ada.lovelace", drafted, "done")
    ]
    again = await console.open(path, **GERMAN)
    assert (again.status, "keinen Entwurf" in again.text) == (409, True)
    assert (await console.post(path, shown, **fields)).status == 409


async def test_a_draft_that_the_bank_declines_stays_open(
    console: Console, backend: Backend, drafted: str
) -> None:
    await backend.give_card(drafted, NO_FUNDS_LATER)
    path = f"/console/subscriptions/{drafted}/collect-draft"
    shown = await console.open(path, **GERMAN)
    fields = {name: shown.field(name) for name in ("key", "invoice", "owed")}
    data = {"form_token": shown.field("form_token"), **fields}
    declined = await console.send("POST", path, data=data, headers=GERMAN)
    assert declined.status == 402
    assert "Die Bank hat die Zahlung abgelehnt." in await declined.text()
    await console.service.stripe.wait_idle()
    assert sorted(await invoice_statuses(backend)) == ["open", "paid"]


async def test_who_has_ended_is_revived_with_the_accounts_that_they_had(
    console: Console, ended: Ended
) -> None:
    service, page = console.service, f"/console/subscriptions/{ended.id}"
    path = f"{page}/revive"
    await ended.pay()
    await ended.backend.worker.catch_up()
    assert {path, f"{page}/keep-payment"} <= (await console.open("/console/trouble")).links
    assert path in (await console.open(page)).links
    shown = await console.open(path)
    assert "Nothing charged now" not in shown.text
    assert "Nothing is charged now. It is paid for, and billed again, from 20" in shown.text
    assert "hosting: the account goes on, with its data." in shown.text
    accounts = "SELECT external_ref FROM tenant_services WHERE actual = 'active' ORDER BY 1"
    had = "SELECT external_ref FROM tenant_services WHERE actual = 'suspended' ORDER BY 1"
    before = await service.pool.fetch(had)
    fields = {name: shown.field(name) for name in ("key", "without_discounts")}
    places = {(await console.post(path, shown, **fields)).headers["Location"] for _ in range(2)}
    [place] = places  # sent twice, it is done once
    assert place.endswith("?done=revived")
    await ended.backend.worker.catch_up()
    assert await service.pool.fetch(accounts) == before
    assert "subscription.revive" in {
        row["action"] for row in await service.pool.fetch("SELECT action FROM billing_audit_log")
    }
    assert "It was revived before" in (await console.open(path)).text
    assert path not in (await console.open(page)).links


async def test_who_would_be_charged_otherwise_than_shown_is_not_revived(
    console: Console, ended: Ended
) -> None:
    page = f"/console/subscriptions/{ended.id}"
    await ended.pay()
    await ended.backend.worker.catch_up()
    shown = await console.open(f"{page}/revive")
    before = billed_from(shown)
    settled = await console.confirm(f"{page}/keep-payment", reason="a credit")
    assert settled.status == 303
    refused = await console.post(f"{page}/revive", shown)
    assert (refused.status, "The preview is outdated" in refused.text) == (409, True)
    assert billed_from(refused) < before - timedelta(days=27)


def billed_from(shown: Shown) -> datetime:
    found = re.search(r"billed again, from (.{16})", shown.text)
    assert found, shown.text
    return datetime.fromisoformat(found[1])


async def test_who_has_not_ended_is_not_revived(console: Console, bought: str) -> None:
    page = f"/console/subscriptions/{bought}"
    early = await console.open(f"{page}/revive", **GERMAN)
    assert (early.status, "nicht beendet" in early.text) == (409, True)
    assert f"{page}/revive" not in (await console.open(page)).links


async def test_a_held_customer_is_told_why_they_are_not_revived(
    console: Console, ended: Ended
) -> None:
    page = f"/console/subscriptions/{ended.id}"
    await console.confirm(f"{page}/suspend", reason="abuse")
    refused = await console.open(f"{page}/revive", **GERMAN)
    assert (refused.status, "von Hand gesperrt" in refused.text) == (409, True)


async def test_what_was_paid_after_the_end_is_declared_settled(
    console: Console, ended: Ended
) -> None:
    service, path = console.service, f"/console/subscriptions/{ended.id}/keep-payment"
    early = await console.open(path)
    assert (early.status, "No payment made after the end" in early.text) == (409, True)
    await ended.pay()
    await ended.backend.worker.catch_up()
    assert "paid_after_end" in await ended.trouble()
    shown = await console.open(path)
    assert f"$12.98 of {ended.invoice}, paid after the end, count as settled." in shown.text
    paid = {"paid": shown.field("paid")}
    assert (await console.post(path, shown, **paid)).status == 422  # no reason
    stale = await console.post(path, shown, paid="in_other=1", reason="a credit")
    assert (stale.status, "Other payments were made" in stale.text) == (409, True)
    assert (await console.post(path, shown, reason="a credit", **paid)).status == 303
    assert "paid_after_end" not in await ended.trouble()
    row = await service.row("SELECT reason, kept_by FROM billing_kept_payments")
    assert tuple(row) == ("a credit", "ada.lovelace")
    assert await audited(service, "subscription.keep_payment") == [
        ("ada.lovelace", ended.id, "done")
    ]
