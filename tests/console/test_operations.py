"""Domains, servers, merges, reconcile runs, all that has failed, and who did what."""

import re
from uuid import UUID

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.console.routes import replays
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation import runs
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.search.notes import add_note
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.console.conftest import Console, Ids, Shown, signed_in
from tests.console.planted import plant_domains, plant_merge, plant_servers
from tests.console.test_pages import audited
from tests.inline_worker import InlineWorker


async def test_a_domain_that_its_registrar_refused_is_tried_again(
    console: Console, ids: Ids
) -> None:
    pool = console.service.pool
    planted = await plant_domains(pool, UUID(ids.subscription))
    listed = await console.open("/console/domains")
    assert "refused.example Ada Lovelace being registered" in listed.text
    assert "The charge was disputed." in listed.text
    assert "soon.example" not in listed.text
    trouble = await console.open("/console/trouble?kind=domain_not_refunded")
    refused, lost = planted["refused.example"], planted["lost.example"]
    assert {f"/console/domains/{lost}", f"/console/domains/{lost}/retry"} <= trouble.links
    assert {f"/console/domains/{id_}/retry" for id_ in (refused, lost)} <= listed.links
    shown = await console.open(f"/console/domains/{lost}/retry")
    assert "Stripe is asked again to refund" in shown.text
    for id_ in (refused, lost):
        done = await console.confirm(f"/console/domains/{id_}/retry")
        assert done.headers["Location"] == "/console/domains?done=domain_retried"
    due = await pool.fetch("SELECT next_attempt_at, next_refund_at FROM billing_domains")
    assert sorted(sum(at is not None for at in row) for row in due) == [0, 1, 1]
    assert {row[1] for row in await audited(console.service, "domain.retry")} == {
        str(refused),
        str(lost),
    }
    soon = await console.confirm(f"/console/domains/{planted['soon.example']}/retry")
    assert soon.status == 303


async def test_domains_are_listed_by_their_expiry_and_by_their_order(
    console: Console, ids: Ids
) -> None:
    await plant_domains(console.service.pool, UUID(ids.subscription))
    expiring = await console.open("/console/domains?list=expiring")
    assert "soon.example Ada Lovelace active" in expiring.text
    assert "refused.example" not in expiring.text
    latest = await console.open("/console/domains?list=latest")
    assert latest.html.count("<tr>") == 4
    assert "/retry" not in latest.html


async def test_the_name_of_another_customer_is_not_tried_again_in_its_place(
    console: Console, ids: Ids
) -> None:
    """Who could not have a name, and who has it now, are two rows."""
    pool = console.service.pool
    planted = await plant_domains(pool, UUID(ids.subscription))
    lost = planted["lost.example"]
    await pool.execute(
        "UPDATE billing_domains SET subscription_id = NULL, name = 'refused.example',"
        " registrable = 'refused.example' WHERE id = $1",
        lost,
    )
    assert (await console.confirm(f"/console/domains/{lost}/retry")).status == 303
    due = await pool.fetchrow("SELECT * FROM billing_domains WHERE next_refund_at IS NOT NULL")
    assert due["id"] == lost
    assert await pool.fetchval("SELECT count(*) FROM billing_domains WHERE version > 0") == 0


async def test_an_account_is_moved_to_another_server_and_a_move_is_called_off(
    console: Console, ids: Ids
) -> None:
    pool, page = console.service.pool, f"/console/subscriptions/{ids.subscription}"
    await plant_servers(pool, UUID(ids.subscription))
    shown = await console.open(f"{page}/move?service=hosting")
    assert "It is on web1." in shown.text
    assert "web3 0 failing" in shown.text
    for to, said in (("web1", "not moved"), ("web9", "No server web9")):
        refused = await console.post(f"{page}/move", shown, service="hosting", to=to)
        assert refused.status in {404, 409}, said
    done = await console.post(f"{page}/move", shown, service="hosting", to="web2")
    assert done.headers["Location"] == f"{page}?done=moving"
    after = await console.open(page)
    assert "hosting web1 → web2 is being made there" in after.text
    assert f"{page}/stay" in after.links
    assert f"{page}/moved" not in after.links  # it is not made yet
    early = await console.confirm(f"{page}/moved?service=hosting", "service")
    assert (early.status, "waits for its data" in early.text) == (409, True)
    await pool.execute("UPDATE billing_moves SET state = 'copying', external_ref = 'acct_2'")
    servers = await console.open("/console/servers?server=web2")
    assert {f"{page}/moved", f"{page}/stay"} <= servers.links
    stays = await console.confirm(f"{page}/stay?service=hosting", "service")
    assert stays.headers["Location"] == f"{page}?done=stays"
    for action in ("subscription.move", "subscription.stay"):
        assert await audited(console.service, action) == [
            ("ada.lovelace", ids.subscription, "done")
        ]


async def test_a_server_is_emptied_and_filled_again(console: Console, ids: Ids) -> None:
    pool = console.service.pool
    await plant_servers(pool, UUID(ids.subscription))
    shown = await console.open("/console/servers/web1/drain")
    assert "hosting: up to 1 accounts begin to move away." in shown.text
    emptied = await console.post("/console/servers/web1/drain", shown, to="web2")
    assert (emptied.status, "Accounts that move away: 1." in emptied.text) == (200, True)
    await pool.execute("UPDATE billing_moves SET state = 'copying', external_ref = 'acct_2'")
    listed = await console.open("/console/servers")
    assert "being emptied" in listed.text
    assert {"/console/servers/web1/fill", "/console/servers/web1/moved"} <= listed.links
    shown = await console.open("/console/servers/web1/moved")
    assert "hosting: accounts that are leaving: 1." in shown.text
    assert (await console.post("/console/servers/web1/moved", shown)).status == 303
    assert await pool.fetchval("SELECT confirmed_by FROM billing_moves") is not None
    assert (await console.confirm("/console/servers/web1/fill")).status == 303
    assert await pool.fetchval("SELECT count(*) FROM billing_servers WHERE drained_at > now()") == 0
    for action in ("server.drain", "server.moved", "server.fill"):
        assert await audited(console.service, action) == [("ada.lovelace", "web1", "done")]
    await pool.execute("UPDATE tenant_services SET suspended_by_service = 'abuse'")
    await pool.execute("DELETE FROM billing_moves")
    stuck = await console.confirm("/console/servers/web1/drain")
    assert "Accounts that move away: 0." in stuck.text
    assert "has suspended the account" in stuck.text


async def test_a_merge_is_undone_within_a_day_by_who_may_merge(console: Console, ids: Ids) -> None:
    service = console.service
    merged = await plant_merge(service.pool, UUID(ids.customer))
    path = f"/console/customers/{merged}/undo-merge"
    listed = await console.open("/console/merges")
    assert "Ada L. Ada Lovelace panel-backend merged" in listed.text
    assert path in listed.links
    desk = await signed_in(service, "admin", "billing:read", "billing:any-customer")
    assert path not in (await desk.open("/console/merges")).links
    shown = await console.open(path)
    assert "subscriptions 0, invoices 0" in shown.text
    done = await console.post(path, shown)
    assert done.headers["Location"] == f"/console/customers/{merged}?done=merge_undone"
    assert await audited(service, "customer.unmerge") == [("ada.lovelace", str(merged), "done")]
    assert "undone" in (await console.open("/console/merges")).text
    assert (await console.open(path)).status == 404


async def test_after_a_day_a_merge_stands(console: Console, ids: Ids) -> None:
    pool = console.service.pool
    merged = await plant_merge(pool, UUID(ids.customer))
    await pool.execute("UPDATE billing_merges SET merged_at = now() - interval '25 hours'")
    path = f"/console/customers/{merged}/undo-merge"
    assert path not in (await console.open("/console/merges")).links
    shown = await console.open(path)
    assert "It is too late" in shown.text
    page = await console.open("/console/preferences")
    assert (await console.post(path, page)).status == 409


async def test_a_reconcile_is_started_followed_and_shows_what_differed(
    console: Console, gateway: StripeGateway, worker: InlineWorker
) -> None:
    service = console.service
    assert "There has been none." in (await console.open("/console/reconcile")).text
    await service.pool.execute("UPDATE subscriptions SET amount = 1")
    shown = await console.open("/console/reconcile/start?mode=report&days=7")
    assert "created in the last 7 days" in shown.text
    assert "Nothing is changed." in shown.text
    wrong = await console.post("/console/reconcile/start", shown, mode="repair", days="0")
    assert (wrong.status, "1 to 3650 days" in wrong.text) == (422, True)
    started = await console.post("/console/reconcile/start", shown, mode="repair", days="")
    assert started.headers["Location"] == "/console/reconcile?done=reconcile_started"
    under_way = await console.open("/console/reconcile")
    assert "waits for a worker" in under_way.text
    assert 'hx-trigger="every 3s"' in under_way.html
    stripe = PacedStripe(gateway, Pace(1000))
    context = ReconcileContext(
        Mirror(service.pool, stripe, livemode=False), worker.provisioning.drivers
    )
    latest = await runs.show_latest_run(service.pool)
    assert latest
    assert await runs.continue_run(context, latest["id"])
    over = await console.open("/console/reconcile")
    assert "hx-trigger" not in over.html
    assert "amount 1 " in over.text
    assert "repaired" in over.text
    reader = await signed_in(service, "admin:read")
    assert "amount 1 " not in (await reader.open(f"/console/reconcile?run={latest['id']}")).text
    assert (await console.open("/console/reconcile?run=none")).status == 404
    [(person, _, outcome)] = await audited(service, "reconcile.start")
    assert (person, outcome) == ("ada.lovelace", "done")


async def test_all_that_failed_is_shown_by_type_and_applied_again(console: Console) -> None:
    pool = console.service.pool
    await pool.execute(
        "UPDATE stripe_events SET status = 'failed', applied_at = NULL, last_error = 'no luck',"
        " next_attempt_at = now() + interval '1 day'"
        " WHERE type IN ('invoice.paid', 'customer.created')"
    )
    path = "/console/events/replay-failed"
    assert path in (await console.open("/console/events")).links
    shown = await console.open(f"{path}?type=invoice.paid&days=3")
    assert "Events that are applied again: 1," in shown.text
    assert "invoice.paid 1" in shown.text
    replayed = await console.post(path, shown, type="invoice.paid", days="3")
    assert replayed.status == 200
    assert re.search("(applied|stale) 1 ", replayed.text)  # what is stored may be newer
    assert "Tried: 1. Still to try: 0." in replayed.text
    assert "Still not applied: 0." in replayed.text
    rest = await console.open(path)
    assert "customer.created 1 " in rest.text
    assert "no luck" in rest.text
    left = await pool.fetch("SELECT type FROM stripe_events WHERE status = 'failed'")
    assert [row["type"] for row in left] == ["customer.created"]
    wrong = await console.open(f"{path}?days=many")
    assert (wrong.status, "whole number" in wrong.text) == (422, True)
    [(person, _, outcome)] = await audited(console.service, "events.replay_failed")
    assert (person, outcome) == ("ada.lovelace", "done")


async def test_all_that_failed_is_tried_page_by_page_and_twice_does_no_harm(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = console.service.pool
    monkeypatch.setattr(replays, "MOST_AT_ONCE", 2)
    failed = await pool.fetch(
        "UPDATE stripe_events SET status = 'failed', applied_at = NULL, last_error = 'no luck',"
        " next_attempt_at = now() + interval '1 day', received_at = now() - random() * interval"
        " '1 hour' WHERE status IN ('applied', 'stale') RETURNING id"
    )
    assert len(failed) > 4
    unreadable = failed[0]["id"]
    await pool.execute(
        "UPDATE stripe_events SET received_at = now() - interval '2 hours',"
        " payload = jsonb_set(payload, '{data,object}', '{}') WHERE id = $1",
        unreadable,
    )
    path, asked = "/console/events/replay-failed", {"type": "", "days": ""}
    shown = await console.open(path)
    assert f"Events that are applied again: {len(failed)}," in shown.text
    fields = asked
    for tried in range(2, len(failed) + 2, 2):
        shown = await console.post(path, shown, **fields)
        done = min(tried, len(failed))
        left = len(failed) - done
        assert f"Tried: {done}. Still to try: {left}." in shown.text
        if left:
            fields = asked | hidden_of(shown)
    assert "failed 1" in shown.text
    assert "Still not applied: 1." in shown.text
    first = await console.open(path)
    again = await console.post(path, first, **asked)  # only what is still not applied
    assert "Tried: 1. Still to try: 0." in again.text
    wrong = await console.post(path, first, **asked, after_at="yesterday")
    assert (wrong.status, "start again" in wrong.text) == (422, True)


def hidden_of(shown: Shown) -> dict[str, str]:
    """What the form of the next page hides."""
    form = shown.html.partition('class="confirm"')[2]
    found = re.findall(r'name="(\w+)" value="([^"]*)"', form)
    return {name: value for name, value in found if name != "form_token"}


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("person=ada.lovelace", {"customer.note"}),
        ("actor=panel", {"customer.note"}),
        ("target={customer}", {"customer.note"}),
        ("person=grace", set()),
    ],
)
async def test_what_was_done_is_found_by_person_key_and_object(
    console: Console, ids: Ids, asked: str, seen: set[str]
) -> None:
    pool = console.service.pool
    person = Actor("panel", None, None, "ada.lovelace")
    await add_note(pool, UUID(ids.customer), "a note", person)
    shown = await console.open(f"/console/audit?{asked.format(customer=ids.customer)}")
    actions = {action for action in ("customer.note",) if action in shown.text}
    assert actions == seen
    if seen:
        assert f"/console/customers/{ids.customer}" in shown.links
    else:
        assert "Nothing was done" in shown.text


async def test_the_audit_log_goes_on_where_a_page_ends(console: Console, ids: Ids) -> None:
    await console.service.pool.execute(
        "INSERT INTO billing_audit_entries (actor, person, action, target_type, target_id, outcome,"
        " details) SELECT 'panel', 'ada&co', 'subscription.retry', 'subscription', $1, 'done',"
        " jsonb_build_object('n', n, 'reason', repeat('<b>', 200))"
        " FROM generate_series(1, 60) AS n",
        ids.subscription,
    )
    shown = await console.open("/console/audit?person=ada%26co")
    assert shown.html.count("<tr>") == 51
    assert len(shown.html.encode()) < 60_000
    assert "<b>" not in shown.html
    found = re.search(r'href="(/console/audit\?[^"]+before[^"]+)"', shown.html)
    assert found
    earlier = await console.open(found[1].replace("&amp;", "&"))
    assert earlier.html.count("<tr>") == 11


async def test_two_records_of_one_person_are_merged_as_it_was_shown(
    console: Console, ids: Ids
) -> None:
    service = console.service
    other = await service.pool.fetchval(
        "INSERT INTO customers (name, email) VALUES ('Ada L.', 'ada@example.com') RETURNING id"
    )
    path = f"/console/customers/{other}/merge"
    desk = await signed_in(service, "admin", "billing:read", "billing:any-customer")
    assert path not in (await desk.open(f"/console/customers/{other}")).links
    assert path in (await console.open(f"/console/customers/{other}")).links
    alike = await console.open(path)  # of the same address
    assert f'"{path}?into={ids.customer}&amp;who=ada%40example.com"' in alike.html
    assert f"into={other}" not in alike.html
    shown = await console.open(f"{path}?into={ids.customer}")
    assert "Ada L. becomes a part of Ada Lovelace." in shown.text
    assert "subscriptions 0, invoices 0, customers at Stripe 0, domains 0" in shown.text
    back = await console.open(f"/console/customers/{ids.customer}/merge?into={other}")
    assert "subscriptions 1, invoices 1" in back.text
    itself = await console.open(f"{path}?into={other}")
    assert (itself.status, "with itself" in itself.text) == (422, True)
    assert (await console.open(f"{path}?into=nobody")).status == 422
    for _ in range(2):  # sent twice, it is done once
        done = await console.post(path, shown, into=ids.customer)
        assert done.headers["Location"] == f"/console/customers/{ids.customer}?done=merged"
    assert await audited(service, "customer.merge") == [("ada.lovelace", str(other), "done")]
    assert f"/console/customers/{other}/undo-merge" in (await console.open("/console/merges")).links


async def test_two_records_with_an_account_each_are_not_merged(console: Console, ids: Ids) -> None:
    pool = console.service.pool
    first, second = [
        await pool.fetchval(
            "INSERT INTO users (email, password_hash) VALUES ($1, 'x') RETURNING id",
            f"{name}@mpanel.example",
        )
        for name in ("ada", "grace")
    ]
    linking = f"/console/customers/{ids.customer}/link-user"
    assert linking in (await console.open(f"/console/customers/{ids.customer}")).links
    shown = await console.open(f"{linking}?account={first}")
    assert "The customer has the account ada@mpanel.example." in shown.text
    done = await console.post(linking, shown, account=str(first))
    assert done.headers["Location"] == f"/console/customers/{ids.customer}?done=linked"
    assert await audited(console.service, "customer.link_user") == [
        ("ada.lovelace", ids.customer, "done")
    ]
    refused = await console.open(f"{linking}?account={second}")
    assert (refused.status, f"has the account {first} already" in refused.text) == (409, True)
    assert (await console.open(f"{linking}?account={ids.customer}")).status == 404
    other = await pool.fetchval(
        "INSERT INTO customers (name, user_id) VALUES ('Grace', $1) RETURNING id", second
    )
    merging = f"/console/customers/{other}/merge"
    both = await console.open(f"{merging}?into={ids.customer}")
    assert (both.status, "Both have an account in mPanel" in both.text) == (409, True)
    assert (await console.post(merging, shown, into=ids.customer)).status == 409
