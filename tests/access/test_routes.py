"""What holds for every route behind a key: none works without one, and each change is on record.

The routes are read from the router, so that a new one is included automatically.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mpanel_billing.access.key import SCOPES
from mpanel_billing.database.pool import Pool
from mpanel_billing.settings import Settings
from tests import stripe_objects as made
from tests.access.conftest import ADMIN_KEY, BILLING_KEY, Issue, bearer
from tests.inbox import Inbox
from tests.kept_domain import keep_domain
from tests.service import CREATE_SESSION, AppClient, Service, make_app, make_settings

Route = tuple[str, str]
"""Method, and the path as the router has it."""

ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
TRIED_ELSEWHERE = {
    ("POST", "/api/billing/subscriptions/{id}/charges"),
    ("POST", "/api/billing/subscriptions/{id}/charges/{charge_id}/withdraw"),
    ("POST", "/api/billing/subscriptions/{id}/end"),
    ("POST", "/api/billing/subscriptions/{id}/take-offer"),
    ("POST", "/api/billing/subscriptions/{id}/trial"),
    ("POST", "/api/billing/subscriptions/{id}/lift-usage-limit"),
    *(
        ("POST", f"/api/billing/invoices/{{id}}/{verb}")
        for verb in ("finalize", "pay", "mark-paid", "void", "mark-uncollectible", "delete")
    ),
    ("POST", "/api/billing/invoices"),
    ("POST", "/api/billing/balance"),
    ("POST", "/api/billing/disputes/{id}/evidence"),
    ("POST", "/api/billing/domains/{id}/replace"),
    ("POST", "/api/billing/domains/{id}/transfer-out"),
    ("POST", "/api/billing/domains/{id}/verify"),
    ("POST", "/api/billing/subscriptions/{id}/services/{product_type}/access-data"),
    ("POST", "/api/billing/usage"),
    *(
        ("POST", f"/api/billing/customers/{{id}}/{verb}")
        for verb in ("link-user", "merge", "undo-merge")
    ),
    *(("POST", f"/api/admin/servers/{{name}}/{verb}") for verb in ("drain", "drained", "fill")),
    *(
        ("POST", f"/api/admin/subscriptions/{{id}}/services/{{product_type}}/{verb}")
        for verb in ("move", "moved", "stay")
    ),
}
"""They need a trial, an offer, an open invoice, a draft, a dispute, a lost domain, a registrar or a
Stripe, or
leave an entry for each refund: test_one_off_charges.py, test_endings.py, test_retention_offers.py,
test_invoice_actions.py, test_manual_invoices.py, test_balances.py, test_disputes.py,
test_replaced_domains.py and test_domain_renewals.py of tests/subscriptions. A check of a proof
leaves none: nameservers decide (tests/checkout/test_domain_proofs.py). Access data needs a service
(tests/provisioning/test_access_data.py). Usage has rows of its own (tests/usage). A merge needs two
customers (tests/subscriptions/test_merging.py). Servers have accounts
(tests/provisioning/test_servers_http.py)."""
SCOPE_OF = {
    ("POST", "/api/billing/subscriptions/{id}/end"): "billing:refund",
    ("POST", "/api/billing/subscriptions/{id}/trial"): "billing:refund",
    ("POST", "/api/billing/subscriptions/{id}/lift-usage-limit"): "billing:refund",
    ("POST", "/api/billing/invoices/{id}/mark-paid"): "billing:refund",
    ("POST", "/api/billing/invoices/{id}/mark-uncollectible"): "billing:refund",
    ("POST", "/api/billing/invoices/{id}/void"): "billing:refund",
    ("POST", "/api/admin/deleted-subscriptions/{id}/cancel"): "admin:money",
    ("POST", "/api/admin/subscriptions/{id}/collect-draft"): "admin:money",
    ("POST", "/api/admin/subscriptions/{id}/keep-payment"): "admin:money",
    ("POST", "/api/admin/subscriptions/{id}/revive"): "admin:money",
    ("GET", "/api/billing/invoices/{id}/refunds"): "billing:read",
    ("POST", "/api/billing/invoices/{id}/preview-refund"): "billing:read",
    ("POST", "/api/billing/invoices/{id}/refund"): "billing:refund",
    ("GET", "/api/billing/invoices/{id}/credit-notes"): "billing:read",
    ("POST", "/api/billing/invoices/{id}/preview-credit-note"): "billing:read",
    ("POST", "/api/billing/invoices/{id}/credit-notes"): "billing:refund",
    ("POST", "/api/billing/balance"): "billing:refund",
    ("POST", "/api/billing/preview-balance"): "billing:read",
    ("POST", "/api/billing/disputes/{id}/evidence"): "billing:refund",
    ("POST", "/api/billing/portal-session"): "billing:portal",
    ("POST", "/api/billing/domains/{id}/transfer-out"): "billing:transfer-out",
    **{
        ("POST", f"/api/billing/customers/{{id}}/{verb}"): "billing:customers"
        for verb in ("link-user", "merge", "undo-merge")
    },
    (
        "POST",
        "/api/billing/subscriptions/{id}/services/{product_type}/access-data",
    ): "billing:access-data",
    ("POST", "/api/billing/usage"): "billing:usage",
}
"""What does more than read or change; the rest follows from the area and the method."""


def guarded_routes() -> Iterator[Route]:
    for route in make_app(make_settings()).router.routes():
        path = route.resource.canonical if route.resource else ""
        if path.startswith(("/api/admin", "/api/billing")):
            yield route.method, path


GUARDED = sorted(guarded_routes())
LENIENT = {"reason": "pays by cheque", "graceDays": 30}
CREDIT = {"amount": 100, "to": "balance"}
MOVED = {"move": "add", "amount": 100, "currency": "usd", "reason": "an outage"}
CHARGED = {"description": "Migration", "unitAmount": 4900}
RENEWED = {"autoRenew": True}
BILLED = {"currency": "usd", "lines": [CHARGED]}
FOR_ALL = {("GET", "/api/billing/disputes"), ("POST", "/api/billing/usage")}
"""A list that does without a customer, and records, each of which names a subscription."""
USED = {
    "id": "of-nobody",
    "subscriptionId": ID,
    "meter": "traffic",
    "quantity": 1,
    "timestamp": "2027-01-31T12:00:00Z",
}
KEPT = {"reason": "refunded by bank transfer"}
SETTLED = {"outcome": "done", "reason": "seen at Stripe"}
CALLING_STRIPE = {
    ("POST", "/api/admin/subscriptions/{id}/collect-draft"),
    ("POST", "/api/admin/subscriptions/{id}/revive"),
}
"""Their entries are read where they have a Stripe: test_drafts.py, test_revival.py of
tests/subscriptions."""
READING = {route for route in GUARDED if route[0] in {"GET", "HEAD"} or "/preview-" in route[1]}
CHANGING = {*GUARDED} - READING


def _of_area(area: str) -> set[Route]:
    return {route for route in CHANGING if route[1].startswith(f"/api/{area}")}


ANOTHER_PLAN = {"planId": "premium", "billingCycle": "monthly"}
REDEEMED = {"couponCode": "WELCOME10"}
CHOSEN = {"domain": {"mode": "register", "value": "lovelace.com"}}
LESS = {"planId": "starter", "billingCycle": "monthly"}
REQUIRED = {
    ("POST", "/api/billing/subscriptions/{id}/preview-change"): ANOTHER_PLAN,
    ("POST", "/api/billing/subscriptions/{id}/change-plan"): ANOTHER_PLAN,
    ("POST", "/api/billing/subscriptions/{id}/preview-charge"): CHARGED,
    ("POST", "/api/billing/subscriptions/{id}/charges"): CHARGED,
    ("POST", "/api/billing/domains/{id}/auto-renew"): RENEWED,
    ("POST", "/api/billing/domains/{id}/move"): {"subscriptionId": ID},
    ("POST", "/api/billing/domains/{id}/preview-replacement"): CHOSEN,
    ("POST", "/api/billing/domains/{id}/replace"): CHOSEN,
    ("POST", "/api/billing/subscriptions/{id}/trial"): {"reason": "it was agreed"},
    ("POST", "/api/billing/subscriptions/{id}/lift-usage-limit"): {"reason": "it was agreed"},
    ("POST", "/api/billing/subscriptions/{id}/preview-apply-coupon"): REDEEMED,
    ("POST", "/api/billing/subscriptions/{id}/apply-coupon"): REDEEMED,
    ("POST", "/api/billing/subscriptions/{id}/preview-remove-coupon"): {"coupon": "WELCOME10"},
    ("POST", "/api/billing/subscriptions/{id}/remove-coupon"): {"coupon": "WELCOME10"},
    ("POST", "/api/billing/invoices/{id}/mark-paid"): {"reason": "by bank transfer"},
    ("POST", "/api/billing/customers/{id}/link-user"): {"accountId": ID},
    ("POST", "/api/billing/customers/{id}/merge"): {"intoCustomerId": ID},
    ("POST", "/api/billing/invoices"): BILLED,
    ("POST", "/api/billing/balance"): MOVED,
    ("POST", "/api/billing/preview-balance"): MOVED,
    ("POST", "/api/billing/usage"): {"records": [USED]},
}
"""What a body needs besides the customer."""


async def ask(
    client: AppClient,
    route: Route,
    headers: dict[str, str],
    body: object = None,
    *,
    query: Mapping[str, str] | None = None,
    **ids: str,
) -> tuple[int, str]:
    method, template = route
    path = re.sub(r"{(\w+)}", lambda match: ids.get(match[1], ID), template)
    params = query if method in {"GET", "HEAD"} else None
    answer = await client.request(method, path, headers=headers, json=body, params=params)
    return answer.status, await answer.text()


def scope_of(route: Route, area: str) -> str:
    if route in READING:
        return f"{area}:read"
    return SCOPE_OF.get(route, "admin:operate" if area == "admin" else "billing:change")


def test_there_are_such_routes() -> None:
    assert ("GET", "/api/admin/audit") in READING
    assert len(CHANGING) >= 12


async def test_no_route_can_be_called_without_a_key_that_opens_it(
    client: AppClient, issue: Issue
) -> None:
    keys = {scope: (await issue(scope)).text for scope in SCOPES}
    owner = {"customerId": ID}
    for route in GUARDED:
        assert (await ask(client, route, {}))[0] == 401, route
        assert (await ask(client, route, bearer("x" * 32)))[0] in {401, 429}, route
        area = "admin" if route[1].startswith("/api/admin") else "billing"
        narrow = scope_of(route, area)
        for scope, key in keys.items():
            named = owner if area == "billing" else {}
            status, text = await ask(client, route, bearer(key), named, query=named)
            assert (status != 403) == (scope in {area, narrow}), (route, scope, status, text)


async def test_who_does_not_name_the_customer_needs_a_key_for_any(
    client: AppClient, issue: Issue
) -> None:
    """A misspelled `customerId` refunded another customer's invoice."""
    billing = sorted(route for route in GUARDED if "/billing/" in route[1] and route[0] != "HEAD")
    for number, route in enumerate(billing):
        narrow = scope_of(route, "billing")
        key = await issue(narrow, name=f"narrow-{number}")
        status, answer = await ask(client, route, bearer(key.text), REQUIRED.get(route, {}))
        assert status == 403, (route, answer)
        assert "customerId" in json.loads(answer)["error"]
        wide = await issue(narrow, "billing:any-customer", name=f"wide-{number}")
        for text in (wide.text, BILLING_KEY):
            status, answer = await ask(client, route, bearer(text), REQUIRED.get(route, {}))
            assert status in ({200} if route in FOR_ALL else {404, 422}), (route, answer)


class Record:
    """The audit log, in pieces: what is new since it was last read."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._seen = 0

    async def news(self) -> list[dict[str, Any]]:
        rows = await self._pool.fetch(
            "SELECT * FROM billing_audit_log WHERE id > $1 ORDER BY id", self._seen
        )
        self._seen = max([self._seen, *(row["id"] for row in rows)])
        return [dict(row) for row in rows]


@pytest.fixture
def record(pool: Pool) -> Record:
    return Record(pool)


async def ended_tenant(pool: Pool, inbox: Inbox) -> str:
    """Return the tenant of an ended subscription of the same customer, with an account."""
    await inbox.deliver(
        "customer.subscription.deleted", made.subscription("sub_ended", status="canceled")
    )
    id_ = (await inbox.subscription("sub_ended"))["id"]
    await pool.execute(
        """INSERT INTO tenant_services
               (subscription_id, product_type, desired, actual, driver, external_ref)
           VALUES ($1, 'hosting', 'suspended', 'suspended', 'log', 'h-1')""",
        id_,
    )
    tenant: str = await pool.fetchval(
        """INSERT INTO tenants (name, domain, billing_subscription_id)
           VALUES ('Ada', 'ada.example', $1) RETURNING id::text""",
        id_,
    )
    return tenant


async def paid_late(inbox: Inbox) -> str:
    """Return a subscription that has ended before its invoice was paid."""
    ended = made.subscription("sub_late", status="canceled", ended_at=1_790_000_100)
    await inbox.deliver("customer.subscription.deleted", ended)
    times = {"status_transitions": {"paid_at": 1_790_000_200}}
    await inbox.deliver("invoice.paid", made.invoice("in_late", subscription="sub_late", **times))
    return str((await inbox.subscription("sub_late"))["id"])


async def test_every_change_by_an_operator_leaves_exactly_one_entry(
    client: AppClient, inbox: Inbox, pool: Pool, record: Record
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    await inbox.deliver("invoice.paid", made.invoice())
    id_ = str((await inbox.subscription())["id"])
    await pool.execute(
        """INSERT INTO tenant_services (subscription_id, product_type, desired, actual, driver)
           VALUES ($1, 'hosting', 'active', 'absent', 'log')""",
        id_,
    )
    tenant, late = await ended_tenant(pool, inbox), await paid_late(inbox)
    await pool.execute(
        "UPDATE stripe_events SET status = 'failed', last_error = 'fault', applied_at = NULL"
    )
    event = str(await pool.fetchval("SELECT min(id) FROM stripe_events"))
    unfinished = await pool.fetchval(
        """INSERT INTO billing_audit_entries (actor, action, outcome, began_at)
           VALUES ('panel', 'customer.portal', 'attempted', now() - interval '1 hour')
           RETURNING id::text"""
    )
    await record.news()
    customer = str(await pool.fetchval("INSERT INTO customers DEFAULT VALUES RETURNING id"))
    deleted = [str(await inbox.order(f"cus_{n}", f"cs_test_{n}")) for n in (8, 9)]
    await pool.execute("DELETE FROM subscriptions WHERE id::text = ANY($1)", deleted)
    of_subscription = "/api/admin/subscriptions/{id}"
    of_deleted = "/api/admin/deleted-subscriptions/{id}"
    acts = [
        (f"{of_subscription}/suspend", "subscription.suspend", id_, {"reason": "abuse"}),
        (f"{of_subscription}/lift", "subscription.lift", id_, None),
        (f"{of_subscription}/retry", "subscription.retry", id_, None),
        (
            of_subscription + "/services/{product_type}/skip",
            "subscription.skip",
            id_,
            None,
        ),
        (f"{of_subscription}/lenient", "subscription.lenient", id_, LENIENT),
        (f"{of_subscription}/adopt", "subscription.adopt", id_, {"tenantId": tenant}),
        (f"{of_subscription}/keep-payment", "subscription.keep_payment", late, KEPT),
        (f"{of_subscription}/strict", "subscription.strict", id_, {"wholeCustomer": False}),
        ("/api/admin/customers/{id}/notes", "customer.note", customer, {"body": "a friend"}),
        ("/api/admin/prices/{id}/ignore", "price.ignore", "price_1", {"reason": "a fee"}),
        ("/api/admin/prices/{id}/heed", "price.heed", "price_1", None),
        ("/api/admin/audit/{id}/settle", "audit.settle", unfinished, SETTLED),
        ("/api/admin/provisioning/retry", "provisioning.retry_all", None, None),
        ("/api/admin/events/{id}/replay", "event.replay", event, None),
        ("/api/admin/events/replay-failed", "events.replay_failed", None, None),
        ("/api/admin/events/replay-ignored?type=x", "events.replay_ignored", None, None),
        (f"{of_deleted}/restore", "subscription.restore", deleted[0], None),
        (f"{of_deleted}/cancel", "subscription.cancel_deleted", deleted[1], {"refund": False}),
        ("/api/admin/reconcile", "reconcile.start", None, {}),
    ]
    tried = {("POST", path.partition("?")[0]) for path, *_ in acts}
    assert tried == _of_area("admin") - TRIED_ELSEWHERE - CALLING_STRIPE
    for path, action, target, body in acts:
        headers = bearer(ADMIN_KEY) | {"X-Request-Id": f"req-{action}"}
        status, text = await ask(
            client, ("POST", path), headers, body, id=target or "", product_type="hosting"
        )
        assert status in {200, 201, 202}, (path, text)
        (entry,) = await record.news()
        assert (entry["actor"], entry["action"]) == ("settings:admin:1", action)
        assert entry["target_id"] == (target or json.loads(text).get("runId"))
        assert entry["outcome"] == "done"
        assert entry["request_id"] == f"req-{action}"


async def test_what_is_refused_or_only_looked_at_leaves_no_entry(
    client: AppClient, inbox: Inbox, record: Record
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    id_ = str((await inbox.subscription())["id"])
    for route in READING:
        area = ADMIN_KEY if "admin" in route[1] else BILLING_KEY
        await ask(client, route, bearer(area), {}, id=id_)
    lift = ("POST", "/api/admin/subscriptions/{id}/lift")
    assert (await ask(client, lift, bearer(ADMIN_KEY), id=id_))[0] == 409
    assert (await ask(client, lift, bearer(ADMIN_KEY), id=ID))[0] == 404
    assert await record.news() == []


async def test_an_entry_names_the_key_of_the_database(
    client: AppClient, issue: Issue, inbox: Inbox, pool: Pool
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    await inbox.deliver("invoice.paid", made.invoice())
    key = await issue("admin", name="night-shift")
    suspend = ("POST", "/api/admin/subscriptions/{id}/suspend")
    body = {"reason": f"her key {key.text} leaked"}
    assert (await ask(client, suspend, bearer(key.text), body, id="sub_1"))[0] == 200
    asked = ("GET", "/api/admin/audit?actor=night-shift")
    _, text = await ask(client, asked, bearer(ADMIN_KEY))
    (entry,) = json.loads(text)["entries"]
    assert (entry["actor"], entry["keyId"]) == ("night-shift", key.id)
    assert entry["details"]["reason"] == f"her key {key.id}_*** leaked"
    holds = await pool.fetch("SELECT placed_by FROM provisioning_holds")
    assert [hold["placed_by"] for hold in holds] == ["night-shift"]


async def test_an_entry_names_the_person_behind_the_key(client: AppClient, inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    retry = ("POST", "/api/admin/provisioning/retry")
    for person in ("user:42", "ada@example.com"):
        assert (await ask(client, retry, bearer(ADMIN_KEY) | {"X-Actor": person}))[0] == 200
    assert (await ask(client, retry, bearer(ADMIN_KEY)))[0] == 200
    status, text = await ask(client, retry, bearer(ADMIN_KEY) | {"X-Actor": "a b"})
    assert (status, json.loads(text)["code"]) == (400, "malformed_request")
    _, text = await ask(client, ("GET", "/api/admin/audit"), bearer(ADMIN_KEY))
    persons = [entry["person"] for entry in json.loads(text)["entries"]]
    assert persons == [None, "a***@example.com", "user:42"]


async def test_the_log_is_paged_and_asked_for_a_target(client: AppClient, issue: Issue) -> None:
    ids = [(await issue("admin", name=f"key-{number}")).id for number in range(5)]

    async def listed(query: str) -> list[dict[str, Any]]:
        _, text = await ask(client, ("GET", f"/api/admin/audit?{query}"), bearer(ADMIN_KEY))
        entries: list[dict[str, Any]] = json.loads(text)["entries"]
        return entries

    first = await listed("limit=2")
    rest = await listed(f"before={first[-1]['id']}")
    assert [entry["targetId"] for entry in first + rest] == ids[::-1]
    assert [entry["targetId"] for entry in await listed(f"target={ids[2]}")] == [ids[2]]
    assert await listed(f"target={ids[2]}&actor=nobody") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "before=-1", "target=%00", "actor=%0A"])
async def test_an_invalid_query_is_refused(client: AppClient, query: str) -> None:
    asked = ("GET", f"/api/admin/audit?{query}")
    status, text = await ask(client, asked, bearer(ADMIN_KEY))
    assert (status, json.loads(text)["fields"].keys()) == (422, {query.partition("=")[0]})


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """What the whole service runs with, where a test asks for that."""
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=BILLING_KEY,
    )


async def test_every_change_by_mpanels_backend_leaves_exactly_one_entry(
    service: Service, order_a: dict[str, Any], record: Record
) -> None:
    await service.buy(order_a)
    assert await record.news() == []
    bought = await service.row("SELECT id, customer_id FROM subscriptions")
    id_, customer = str(bought["id"]), str(bought["customer_id"])
    invoice = str((await service.row("SELECT id FROM invoices"))["id"])
    one, domain = "/api/billing/subscriptions/{id}", "/api/billing/domains/{id}"
    kept, let_go = [await keep_domain(service.pool, customer, f"{n}.com") for n in ("ada", "eve")]
    acts: list[tuple[str, str, str, object]] = [
        ("/api/billing/portal-session", "customer.portal", customer, {"customerId": customer}),
        (f"{one}/change-plan", "subscription.change_plan", id_, ANOTHER_PLAN),
        (f"{one}/change-plan", "subscription.change_plan", id_, LESS),
        (f"{one}/undo-change", "subscription.undo_change", id_, {}),
        (f"{one}/apply-coupon", "subscription.apply_coupon", id_, REDEEMED),
        (f"{one}/remove-coupon", "subscription.remove_coupon", id_, {"coupon": "WELCOME10"}),
        (f"{one}/pause", "subscription.pause", id_, {}),
        (f"{one}/resume", "subscription.resume", id_, {}),
        (f"{one}/cancel", "subscription.cancel", id_, {"atPeriodEnd": True}),
        (f"{one}/resume", "subscription.resume", id_, {}),
        ("/api/billing/invoices/{id}/refund", "invoice.refund", invoice, {"amount": 100}),
        ("/api/billing/invoices/{id}/credit-notes", "invoice.credit_note", invoice, CREDIT),
        (f"{domain}/auto-renew", "domain.auto_renew", kept, RENEWED),
        (f"{domain}/renew", "domain.renew", kept, {}),
        (f"{domain}/move", "domain.move", kept, {"subscriptionId": id_}),
        (f"{domain}/release", "domain.release", let_go, {}),
    ]
    assert {("POST", path) for path, *_ in acts} == _of_area("billing") - TRIED_ELSEWHERE
    for path, action, target, body in acts:
        route = ("POST", path)
        status, text = await ask(service.client, route, bearer(BILLING_KEY), body, id=target)
        assert status == 200, (path, text)
        (entry,) = await record.news()
        assert (entry["actor"], entry["action"]) == ("settings:billing:1", action)
        assert (entry["target_id"], entry["outcome"]) == (target, "done"), entry


async def test_an_order_is_on_record_when_the_backend_places_it_and_not_a_buyers_own(
    service: Service, order_a: dict[str, Any], record: Record
) -> None:
    order = await service.order(order_a, **bearer(BILLING_KEY))
    (entry,) = await record.news()
    assert (entry["actor"], entry["action"]) == ("settings:billing:1", "checkout.create_session")
    assert (entry["target_id"], entry["outcome"]) == (order["subscriptionId"], "done")
    assert order["sessionId"] not in str(entry)
    await service.order(order_a | {"planId": "premium"})
    assert await record.news() == []


async def test_an_order_that_stripe_does_not_accept_stays_on_record_as_attempted(
    service: Service, order_a: dict[str, Any], record: Record
) -> None:
    await service.stripe.inject_fault("reset", path="/v1/checkout/sessions", times=3)
    answer = await service.client.post(CREATE_SESSION, json=order_a, headers=bearer(BILLING_KEY))
    assert answer.status == 503
    (entry,) = await record.news()
    assert (entry["outcome"], entry["error"]) == ("attempted", (await answer.json())["code"])
    assert entry["settled_at"] is not None


async def test_a_malformed_person_is_refused_without_a_key_too(
    service: Service, order_a: dict[str, Any]
) -> None:
    answer = await service.client.post(CREATE_SESSION, json=order_a, headers={"X-Actor": "a b"})
    assert (answer.status, (await answer.json())["code"]) == (400, "malformed_request")
