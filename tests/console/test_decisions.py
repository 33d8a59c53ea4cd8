"""What an operator decides: prices outside the catalogue, deleted rows, tenants, ignored events."""

import re
from uuid import UUID

from tests.console.conftest import Console, Ids, signed_in
from tests.console.test_pages import audited
from tests.inline_worker import InlineWorker
from tests.service import ORDER, Pool

GERMAN = {"Accept-Language": "de"}

PLACED_NOWHERE = (
    "UPDATE subscription_items SET price_id = NULL, stripe_price_id = 'price_outside',"
    " stripe_product_id = 'prod_outside' WHERE id = (SELECT id FROM subscription_items"
    " WHERE stripe_subscription_item_id IS NOT NULL ORDER BY unit_amount LIMIT 1)"
    " RETURNING stripe_subscription_item_id"
)


async def test_a_price_outside_the_catalogue_is_ignored_and_heeded_again(
    console: Console, ids: Ids
) -> None:
    service = console.service
    item = await service.pool.fetchval(PLACED_NOWHERE)
    path = f"/console/prices/{item}/ignore"
    for place in ("/console/trouble", f"/console/subscriptions/{ids.subscription}"):
        assert path in (await console.open(place)).links
    reader = await signed_in(service, "admin:read")
    assert path not in (await reader.open("/console/trouble")).links
    shown = await console.open(path)
    assert "price_outside" in shown.text
    assert "Subscriptions that have it: 1." in shown.text
    assert (await console.post(path, shown)).status == 422  # no reason
    done = await console.post(path, shown, reason="sold by hand")
    assert done.headers["Location"] == "/console/catalogue?done=price_ignored"
    row = await service.row("SELECT stripe_price_id, reason, set_by FROM billing_ignored_prices")
    assert tuple(row) == ("price_outside", "sold by hand", "ada.lovelace")
    assert "item_unplaced" not in (await console.open("/console/trouble")).text
    again = await console.open(path, **GERMAN)
    assert (again.status, "schon ignoriert" in again.text) == (409, True)
    heed = "/console/prices/price_outside/heed"
    assert heed in (await console.open("/console/catalogue")).links
    assert heed not in (await reader.open("/console/catalogue")).links
    shown = await console.open(heed)
    assert "Ignored: sold by hand (ada.lovelace)" in shown.text
    assert (await console.post(heed, shown)).headers["Location"].endswith("done=price_heeded")
    assert await service.pool.fetchval("SELECT count(*) FROM billing_ignored_prices") == 0
    assert "item_unplaced" in (await console.open("/console/trouble")).text
    late = await console.open(heed, **GERMAN)
    assert (late.status, "nicht ignoriert" in late.text) == (409, True)
    for action in ("price.ignore", "price.heed"):
        assert await audited(service, action) == [("ada.lovelace", "price_outside", "done")]


async def test_a_price_whose_id_a_person_has_chosen_is_decided_about(
    console: Console, ids: Ids
) -> None:
    """Plans of an old account have ids such as this one."""
    item = await console.service.pool.fetchval(
        PLACED_NOWHERE.replace("price_outside", "gold 10/month? (ä)")
    )
    ignored = await console.confirm(f"/console/prices/{item}/ignore", reason="sold by hand")
    assert ignored.status == 303
    [heed] = [one for one in (await console.open("/console/catalogue")).links if "heed" in one]
    shown = await console.open(heed)
    assert "gold 10/month? (ä)" in shown.text
    [form] = [one for one in shown.links if one.endswith("/heed")]
    assert (await console.post(form, shown)).headers["Location"].endswith("done=price_heeded")


async def test_a_price_of_the_catalogue_or_of_nobody_is_not_ignored(
    console: Console, ids: Ids
) -> None:
    sold = await console.service.pool.fetchval(
        "SELECT stripe_price_id FROM subscription_items WHERE price_id IS NOT NULL LIMIT 1"
    )
    refused = await console.open(f"/console/prices/{sold}/ignore")
    assert (refused.status, "The catalogue has this price" in refused.text) == (409, True)
    nobody = await console.open("/console/prices/price_none/ignore")
    assert (nobody.status, "No subscription that runs" in nobody.text) == (404, True)


async def test_a_deleted_subscription_is_brought_back(console: Console, ids: Ids) -> None:
    service, page = console.service, f"/console/subscriptions/{ids.subscription}"
    stripe_id = await service.pool.fetchval("SELECT stripe_subscription_id FROM subscriptions")
    await service.pool.execute("DELETE FROM tenants")
    assert (await console.open(page)).status == 404
    path = f"/console/deleted/{stripe_id}/restore"
    assert path in (await console.open("/console/trouble")).links
    reader = await signed_in(service, "admin:read")
    assert path not in (await reader.open("/console/trouble")).links
    shown = await console.open(path)
    assert "hosting: the account is looked for and kept." in shown.text
    for _ in range(2):  # sent twice, it is done once
        done = await console.post(path, shown)
        assert done.headers["Location"] == f"{page}?done=deleted_restored"
    assert (await console.open(page)).status == 200
    assert "row_deleted" not in (await console.open("/console/trouble")).text
    again = await console.open(path, **GERMAN)
    assert (again.status, "schon entschieden" in again.text) == (409, True)
    other = await console.post(f"/console/deleted/{stripe_id}/cancel", shown, refund="none")
    assert (other.status, "decided already" in other.text) == (409, True)
    unknown = await console.open("/console/deleted/sub_none/restore", **GERMAN)
    assert (unknown.status, "Kein gelöschtes Abonnement" in unknown.text) == (404, True)


async def test_a_deleted_subscription_is_ended_with_its_money_back(
    console: Console, ids: Ids
) -> None:
    service, page = console.service, f"/console/subscriptions/{ids.subscription}"
    await service.pool.execute("DELETE FROM tenants")
    path = f"/console/deleted/{ids.subscription}/cancel"
    operator = await signed_in(service, "admin:read", "admin:operate")
    assert "/cancel" not in " ".join((await operator.open("/console/trouble")).links)
    shown = await console.open(path)
    assert "Stripe ends it now" in shown.text
    assert "$12.98: all that is left of the latest payment" in shown.text
    unchosen = await console.post(path, shown)
    assert (unchosen.status, "whether something goes back" in unchosen.text) == (422, True)
    amount = shown.field("amount")
    other = await console.post(path, shown, refund="latest", amount="1")
    assert (other.status, "has changed" in other.text) == (409, True)
    for _ in range(2):
        done = await console.post(path, shown, refund="latest", amount=amount)
        assert done.headers["Location"] == f"{page}?done=deleted_cancelled"
    await service.stripe.wait_idle()
    row = await service.row("SELECT stripe_status FROM subscriptions")
    assert row["stripe_status"] == "canceled"
    assert await service.pool.fetchval("SELECT sum(amount_refunded) FROM invoices") == 1298
    assert {person for person, _, _ in await audited(service, "subscription.cancel_deleted")} == {
        "ada.lovelace"
    }


async def test_a_subscription_gets_the_tenant_of_an_ended_one(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    service = console.service
    ended = f"/console/subscriptions/{ids.subscription}"
    await console.confirm(f"{ended}/cancel", "key", ends="now")
    await worker.catch_up()
    tenant = await tenant_of(service.pool, ids.subscription)
    order = ORDER | {"customer": {"name": "Ada", "email": "ada@work.example"}}
    order |= {"domain": {"mode": "new-or-transfer", "value": "ada-again.com"}}
    bought = str((await service.buy(order))["subscriptionId"])
    await worker.catch_up()
    page = f"/console/subscriptions/{bought}"
    stranger = await console.open(f"{page}/adopt", **GERMAN)
    assert (stranger.status, "Kein Mandant" in stranger.text) == (409, True)
    await service.pool.execute(
        "UPDATE subscriptions SET customer_id = $1 WHERE id = $2",
        UUID(ids.customer),
        UUID(bought),
    )
    path = f"{page}/adopt"
    assert path in (await console.open(page)).links
    reader = await signed_in(service, "admin:read")
    assert path not in (await reader.open(page)).links
    shown = await console.open(path)
    assert "hosting: the account that it has now goes to the ended subscription." in shown.text
    assert (await console.post(path, shown, tenant="none")).status == 422
    for _ in range(2):  # sent twice, it is done once
        done = await console.post(path, shown, tenant=str(tenant))
        assert done.headers["Location"] == f"{page}?done=adopted"
    await worker.catch_up()
    assert await tenant_of(service.pool, bought) == tenant
    assert set(await audited(service, "subscription.adopt")) == {("ada.lovelace", bought, "done")}
    own = await console.post(path, shown, tenant=ids.invoice)
    assert (own.status, "can be taken over now" in own.text) == (409, True)


async def tenant_of(pool: Pool, subscription: str) -> UUID:
    id_: UUID = await pool.fetchval(
        "SELECT id FROM tenants WHERE billing_subscription_id = $1", UUID(subscription)
    )
    return id_


async def test_ignored_events_of_a_type_are_applied_again(console: Console) -> None:
    pool = console.service.pool
    await pool.execute(
        "UPDATE stripe_events SET status = 'ignored', reason = 'not mirrored'"
        " WHERE type IN ('invoice.paid', 'customer.created')"
    )
    path = "/console/events/replay-ignored"
    assert path in (await console.open("/console/events?status=ignored")).links
    first = await console.open(path)
    assert "No ignored events of a type that was chosen." in first.text
    unchosen = await console.post(path, first)
    assert (unchosen.status, "choose a type" in unchosen.text) == (422, True)
    shown = await console.open(f"{path}?type=invoice.paid")
    assert "Events that are applied again: 1," in shown.text
    assert "not mirrored" in shown.text
    done = await console.post(path, shown, type="invoice.paid", days="")
    assert re.search("(applied|stale) 1 ", done.text)
    assert "Still not applied: 0." in done.text
    left = await pool.fetch("SELECT type FROM stripe_events WHERE reason = 'not mirrored'")
    assert [row["type"] for row in left] == ["customer.created"]
    [(person, _, outcome)] = await audited(console.service, "events.replay_ignored")
    assert (person, outcome) == ("ada.lovelace", "done")
    reader = await signed_in(console.service, "admin:read")
    assert path not in (await reader.open("/console/events?status=ignored")).links
