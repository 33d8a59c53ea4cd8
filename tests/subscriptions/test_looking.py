"""What customers have, and whose it is."""

from typing import Any
from uuid import uuid4

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key
from tests.subscriptions.conftest import BEARER, Backend


async def test_a_subscription_is_shown_with_all_that_a_panel_needs(
    backend: Backend, bought: str
) -> None:
    shown = await backend.subscription(bought)
    assert (
        shown
        | {
            "id": bought,
            "status": "active",
            "stripeStatus": "active",
            "planId": "starter",
            "planName": "Starter",
            "billingCycle": "monthly",
            "currency": "usd",
            "trialEnd": None,
            "willEnd": False,
            "collectionPaused": False,
            "endedAt": None,
        }
        == shown
    )
    items = {item["productId"]: item["unitAmount"] for item in shown["items"]}
    assert items.keys() == {"starter", "addon-backups-daily"}
    assert sum(items.values()) == shown["amount"]
    assert shown["nextCharge"] == {
        "amount": shown["amount"],
        "currency": "usd",
        "at": shown["currentPeriodEnd"],
        "subtotal": shown["amount"],
        "discount": 0,
        "balance": 0,
        "amountDue": shown["amount"],
    }
    assert shown["tenant"]["status"] == "active"
    assert shown["createdAt"].endswith("Z")


async def test_lists_are_cut_into_pages_that_leave_nothing_out(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    ids = set()
    for plan in ("starter", "premium", "business"):
        order = await backend.service.buy(order_a | {"planId": plan})
        ids.add(order["subscriptionId"])
    await backend.worker.catch_up()
    customer = await backend.customer_of(order["subscriptionId"])
    for path in ("subscriptions", "invoices"):
        seen, cursor, pages = [], {}, 0
        while cursor is not None:
            response = await backend.get(path, customerId=customer, limit="2", **cursor)
            assert response.headers["Cache-Control"] == "no-store"
            seen += [row.get("subscriptionId", row["id"]) for row in response.body[path]]
            following = response.body["nextCursor"]
            cursor = {"cursor": following} if following else None
            pages += 1
        assert pages == 2
        assert sorted(seen) == sorted(ids)


async def test_an_invoice_is_shown_to_its_owner_only(
    backend: Backend, bought: str, grace: dict[str, str]
) -> None:
    (listed,) = await backend.invoices(bought)
    one = f"invoices/{listed['id']}"
    owner = {"customerId": await backend.customer_of(bought)}
    for names in ({}, owner):
        shown = await backend.get(one, **names)
        assert (shown.status, shown.body["invoice"]) == (200, listed)
    others = [await backend.get(one, **{name: id_}) for name, id_ in grace.items()]
    for refused in (*others, await backend.get(f"invoices/{uuid4()}")):
        assert (refused.status, refused.body["code"]) == (404, "unknown_invoice")


async def test_an_order_that_was_never_paid_is_not_listed(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    customer = await backend.customer_of(bought)
    await backend.service.order(order_a | {"planId": "premium"})
    listed = await backend.get("subscriptions", customerId=customer)
    assert [row["id"] for row in listed.body["subscriptions"]] == [bought]


@pytest.fixture
async def grace(backend: Backend) -> dict[str, str]:
    """Another customer, known by their account in mPanel."""
    row = await backend.service.row(
        """WITH u AS (INSERT INTO users (email, password_hash)
                      VALUES ('grace@example.org', 'x') RETURNING id)
           INSERT INTO customers (user_id) SELECT id FROM u RETURNING id, user_id"""
    )
    return {"customerId": str(row["id"]), "userId": str(row["user_id"])}


async def test_a_customer_is_found_by_any_reference(
    backend: Backend, grace: dict[str, str], order_a: dict[str, Any]
) -> None:
    order = await backend.service.order(order_a | {"customerId": grace["customerId"]}, **BEARER)
    await backend.service.stripe.pay(order["url"])
    await backend.worker.catch_up()
    for names in (grace, {"userId": grace["userId"]}, {"customerId": grace["customerId"]}):
        listed = await backend.get("subscriptions", **names)
        assert [row["id"] for row in listed.body["subscriptions"]] == [order["subscriptionId"]]
    names = {"returnUrl": "http://panel.test/"}
    for name in ({"email": "GRACE@example.org"}, {"userId": grace["userId"]}):
        assert await backend.done("portal-session", names | name)


async def test_no_customer_reaches_what_belongs_to_another(
    backend: Backend, bought: str, grace: dict[str, str]
) -> None:
    (invoice,) = await backend.invoices(bought)
    for name, id_ in grace.items():
        owner = {name: id_}
        assert (await backend.get(f"subscriptions/{bought}", **owner)).status == 404
        assert (await backend.get("invoices", subscriptionId=bought, **owner)).status == 404
        for path in (
            f"subscriptions/{bought}/cancel",
            f"subscriptions/{bought}/resume",
            f"invoices/{invoice['id']}/refund",
        ):
            assert (await backend.post(path, owner)).status == 404, path
        change = owner | {"planId": "premium", "billingCycle": "monthly"}
        for path in ("change-plan", "preview-change"):
            assert (await backend.post(f"subscriptions/{bought}/{path}", change)).status == 404
        portal = owner | {"subscriptionId": bought}
        assert (await backend.post("portal-session", portal)).status == 404
    both = {"customerId": await backend.customer_of(bought), "userId": grace["userId"]}
    assert (await backend.get("subscriptions", **both)).status == 404
    assert not (await backend.subscription(bought))["willEnd"]
    assert await backend.audit() == []


async def test_an_unknown_customer_does_not_reach_what_has_no_owner(
    backend: Backend, bought: str
) -> None:
    (invoice,) = await backend.invoices(bought)
    await backend.service.pool.execute("UPDATE subscriptions SET customer_id = NULL")
    await backend.service.pool.execute("UPDATE invoices SET customer_id = NULL")
    for name in ("customerId", "userId"):
        unknown = {name: str(uuid4())}
        assert (await backend.get(f"subscriptions/{bought}", **unknown)).status == 404
        refund = await backend.post(f"invoices/{invoice['id']}/refund", unknown)
        assert (refund.status, refund.body["code"]) == (404, "unknown_invoice")


async def test_rows_of_the_other_mode_and_of_mpanels_own_biller_do_not_exist(
    backend: Backend, bought: str
) -> None:
    customer = await backend.customer_of(bought)
    (invoice,) = await backend.invoices(bought)
    own = await backend.service.pool.fetchval(
        "INSERT INTO subscriptions (customer_id, price, status)"
        " VALUES ($1::text::uuid, 9.90, 'active') RETURNING id::text",
        customer,
    )
    assert (await backend.get(f"subscriptions/{own}")).status == 404
    assert (await backend.post(f"subscriptions/{own}/cancel")).status == 404
    for table in ("subscriptions", "invoices"):
        await backend.service.pool.execute(
            f"UPDATE {table} SET livemode = TRUE WHERE livemode IS NOT NULL"
        )
    assert (await backend.get(f"subscriptions/{bought}")).status == 404
    assert (await backend.post(f"subscriptions/{bought}/cancel")).status == 404
    assert (await backend.post(f"invoices/{invoice['id']}/refund")).status == 404
    for path in ("subscriptions", "invoices"):
        assert (await backend.get(path, customerId=customer)).body[path] == []


async def test_malformed_ids_and_unknown_ids_are_distinguished(backend: Backend) -> None:
    for path in ("subscriptions/sub_123", "subscriptions/1/cancel", "invoices/x/refund"):
        call = backend.get if path.count("/") == 1 else backend.post
        response = await call(path)
        assert (response.status, response.body["code"]) == (400, "malformed_request"), path
    nobody = uuid4()
    for path in (f"subscriptions/{nobody}", f"invoices/{nobody}/refund"):
        call = backend.get if path.count("/") == 1 else backend.post
        assert (await call(path)).status == 404
    assert (await backend.get("subscriptions", customerId=str(nobody))).status == 404


async def test_lists_need_a_customer(backend: Backend) -> None:
    for path in ("subscriptions", "invoices"):
        assert (await backend.get(path)).status == 422
        assert (await backend.get(path, customerId="x")).status == 422
        for wrong in ({"limit": "0"}, {"limit": "101"}, {"limit": "many"}, {"cursor": "%%%"}):
            named = {"customerId": str(uuid4())}
            response = await backend.get(path, **named, **wrong)
            assert (response.status, [*response.body["fields"]]) == (422, [*wrong])


async def test_the_portal_opens_for_the_customer_of_the_subscription(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    await backend.service.buy(order_a | {"planId": "premium"})
    await backend.worker.catch_up()
    customer = await backend.customer_of(bought)
    opened = await backend.done(
        "portal-session",
        {"customerId": customer, "subscriptionId": bought, "returnUrl": "http://panel.test/me"},
    )
    assert opened["url"].startswith(backend.service.sandbox.url)
    _, stripe_customer = await backend.stripe_ids(bought)
    row = await backend.service.row("SELECT target_id, details FROM billing_audit_log")
    assert row["target_id"] == customer
    assert row["details"]["stripeCustomerId"] == stripe_customer
    async with backend.service.client.session.get(opened["url"]) as page:
        assert page.status == 200


async def test_the_portal_opens_on_the_page_that_changes_the_card(
    backend: Backend, bought: str
) -> None:
    named = {"customerId": await backend.customer_of(bought), "flow": "payment_method_update"}
    opened = await backend.done("portal-session", named)
    async with backend.service.client.session.get(opened["url"]) as page:
        text = await page.text()
    assert "Use this card" in text
    assert "Cancel" not in text
    assert (await backend.post("portal-session", named | {"flow": "all"})).status == 422


async def test_the_portal_leads_back_to_our_site_only(backend: Backend, bought: str) -> None:
    customer = {"customerId": await backend.customer_of(bought)}
    for wrong in ("https://evil.test/", "javascript:alert(1)", "http://panel.test@evil.test/"):
        response = await backend.post("portal-session", customer | {"returnUrl": wrong})
        assert (response.status, response.body["code"]) == (422, "return_url_not_allowed")
    assert await backend.done("portal-session", customer)
    assert (await backend.post("portal-session", {"returnUrl": "http://panel.test/"})).status == 422


async def test_the_portal_is_closed_to_customers_without_purchases(
    backend: Backend, grace: dict[str, str]
) -> None:
    response = await backend.post("portal-session", grace)
    assert (response.status, response.body["code"]) == (404, "no_stripe_customer")
    assert await backend.audit() == [("customer.portal", "failed")]


async def test_stripe_errors_are_reported_as_such(backend: Backend, bought: str) -> None:
    customer = {"customerId": await backend.customer_of(bought)}
    await backend.service.stripe.inject_fault("status", status=429, retry_after=7)
    response = await backend.post("portal-session", customer)
    assert (response.status, response.headers["Retry-After"]) == (503, "7")
    await backend.service.stripe.inject_fault("status", status=400)
    response = await backend.post(f"subscriptions/{bought}/cancel")
    assert (response.status, response.body["code"]) == (502, "stripe_refused")


async def test_a_read_only_key_changes_nothing(backend: Backend, bought: str) -> None:
    looking = await create_key(
        backend.service.pool, Actor("cli:ada@panel"), name="panel", scopes=("billing:read",)
    )
    headers = {"Authorization": f"Bearer {looking.text}"}
    client = backend.service.client
    path = f"/api/billing/subscriptions/{bought}?customerId={await backend.customer_of(bought)}"
    async with client.get(path, headers=headers) as response:
        assert response.status == 200
    for path in ("portal-session", f"subscriptions/{bought}/cancel"):
        async with client.post(f"/api/billing/{path}", json={}, headers=headers) as response:
            assert response.status == 403
        async with client.post(f"/api/billing/{path}", json={}) as response:
            assert response.status == 401
