"""Every route x every kind of key x another customer's ids: what comes back, and what it changes.

Routes come from the router, scopes and keys from `SCOPES`. A route that acts on a customer has to
refuse what is Ada's when it is asked for Bob; a body that a new route needs goes into BODIES.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest

from mpanel_billing.access.key import SCOPES, Scope, include_scope, make_key
from mpanel_billing.database.pool import Pool
from mpanel_billing.http.operation import Operation, operation_of
from mpanel_billing.settings import Settings
from tests.access.conftest import BILLING_KEY, Issue, bearer
from tests.kept_domain import keep_domain
from tests.service import Service, make_app, make_settings

NOBODY = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
CHOSEN = {"domain": {"mode": "register", "value": "lovelace.com"}}
CREDIT = {"move": "add", "amount": 500, "currency": "usd", "reason": "for the outage"}
CHARGE = {"description": "Migration", "unitAmount": 4900}
USED = {
    "id": "of-nobody",
    "subscriptionId": NOBODY,
    "meter": "traffic",
    "quantity": 1,
    "timestamp": "2027-01-31T12:00:00Z",
}
BODIES: Mapping[str, Mapping[str, object]] = {
    "/api/billing/subscriptions/{id}/preview-change": {
        "planId": "premium",
        "billingCycle": "monthly",
    },
    "/api/billing/subscriptions/{id}/change-plan": {"planId": "premium", "billingCycle": "monthly"},
    "/api/billing/subscriptions/{id}/trial": {"reason": "it was agreed"},
    "/api/billing/subscriptions/{id}/lift-usage-limit": {"reason": "it was agreed"},
    "/api/billing/subscriptions/{id}/preview-charge": CHARGE,
    "/api/billing/subscriptions/{id}/charges": CHARGE,
    "/api/billing/invoices/{id}/mark-paid": {"reason": "by bank transfer"},
    "/api/billing/invoices": {
        "currency": "usd",
        "reason": "by hand",
        "lines": [{"description": "Migration", "unitAmount": 4900}],
    },
    "/api/billing/preview-balance": CREDIT,
    "/api/billing/balance": CREDIT,
    "/api/billing/domains/{id}/auto-renew": {"autoRenew": True},
    "/api/billing/domains/{id}/move": {"subscriptionId": NOBODY},
    "/api/billing/domains/{id}/preview-replacement": CHOSEN,
    "/api/billing/domains/{id}/replace": CHOSEN,
    "/api/billing/subscriptions/{id}/preview-apply-coupon": {"couponCode": "WELCOME10"},
    "/api/billing/subscriptions/{id}/apply-coupon": {"couponCode": "WELCOME10"},
    "/api/billing/subscriptions/{id}/preview-remove-coupon": {"coupon": "WELCOME10"},
    "/api/billing/subscriptions/{id}/remove-coupon": {"coupon": "WELCOME10"},
    "/api/billing/subscriptions/{id}/take-offer": {"reason": "stays for less"},
    "/api/billing/usage": {"records": [USED]},
    "/api/billing/customers/{id}/link-user": {"accountId": NOBODY},
    "/api/billing/customers/{id}/merge": {"intoCustomerId": NOBODY},
}
"""What a route needs apart from its owner, to come as far as looking at whose the id is."""

LISTS = frozenset({"/api/billing/subscriptions", "/api/billing/invoices"})
"""Without an id in the path: they return what is Bob's."""

OF_OWNER = {
    ("GET", "/api/billing/balance"),
    ("GET", "/api/billing/disputes"),
    ("POST", "/api/billing/usage"),
}
"""They take no id at all, and return what is Bob's."""

UNCOUNTED = ("billing_api_keys", "billing_key_usage")
"""Tables that a refused call may write: when a key was used, and how often."""

TABLES = """
SELECT string_agg(format('SELECT %L AS name, md5(coalesce(string_agg(t::text, ''|'' ORDER BY t::text), '''')) AS rows FROM %I AS t', relname, relname), ' UNION ALL ')
FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> ALL($1)
"""  # noqa: E501


@dataclass(frozen=True)
class Customer:
    """What a customer has, by the names of the routes."""

    customer: str
    subscription: str
    invoice: str
    domain: str
    secrets: tuple[str, ...] = field(repr=False)

    def id_for(self, address: str) -> str:
        if "/domains/" in address:
            return self.domain
        if "/customers/" in address:
            return self.customer
        return self.invoice if "/invoices/" in address else self.subscription

    def everything(self) -> tuple[str, ...]:
        return (self.customer, self.subscription, self.invoice, self.domain, *self.secrets)


@dataclass(frozen=True)
class World:
    """Two customers who have bought the same, and a key of each kind."""

    service: Service
    ada: Customer
    bob: Customer
    keys: Mapping[str, str]

    async def rows(self) -> dict[str, str]:
        """A digest of each table."""
        query = await self.service.pool.fetchval(TABLES, UNCOUNTED)
        return {row["name"]: row["rows"] for row in await self.service.pool.fetch(query)}

    async def call(
        self, one: Operation, key: str, id_: str, owner: Mapping[str, str]
    ) -> tuple[int, Any, str]:
        """Call a route; the owner goes where the route takes it."""
        path = re.sub(r"{\w+}", id_, one.address)
        answer = await self.service.client.request(
            one.method,
            path,
            params=owner if one.method == "GET" else {},
            json=None if one.method == "GET" else {**BODIES.get(one.address, {}), **owner},
            headers=bearer(key) if key else {},
        )
        text = await answer.text()
        return answer.status, (await answer.json()).get("code"), text + str(answer.headers)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=BILLING_KEY,
        rate_limit_wrong_keys="off",
    )


@pytest.fixture
async def world(service: Service, pool: Pool, order_a: dict[str, Any], issue: Issue) -> World:
    ada = await buy(service, order_a, "ada@example.com")
    bob = await buy(service, order_a, "bob@example.net")
    keys: dict[str, str] = {scope: (await issue(scope)).text for scope in SCOPES}
    for name, change in (("revoked", "revoked_at"), ("expired", "expires_at")):
        keys[name] = (await issue("admin", "billing", name=name)).text
        await pool.execute(f"UPDATE billing_api_keys SET {change} = now() WHERE name = $1", name)
    elsewhere = (ip_network("192.0.2.0/24"),)
    keys["elsewhere"] = (await issue("admin", "billing", name="elsewhere", networks=elsewhere)).text
    return World(service, ada, bob, keys | {"unknown": make_key().text, "none": ""})


async def buy(service: Service, order: dict[str, Any], email: str) -> Customer:
    customer = {"name": email.partition("@")[0].title(), "email": email}
    bought = await service.buy(order | {"customer": customer})
    row = await service.row(
        """SELECT s.customer_id::text, s.id::text AS subscription, i.id::text AS invoice,
               s.stripe_subscription_id, i.stripe_invoice_id, s.stripe_customer_id
           FROM subscriptions AS s JOIN invoices AS i ON i.subscription_id = s.id
           WHERE s.id::text = $1""",
        bought["subscriptionId"],
    )
    customer_id, subscription, invoice, *secrets = row
    name = f"{email.partition('@')[0]}-keeps.com"
    domain = await keep_domain(service.pool, customer_id, name)
    return Customer(customer_id, subscription, invoice, domain, (*secrets, email, name))


def operations() -> Iterator[Operation]:
    for route in make_app(make_settings()).router.routes():
        operation = operation_of(route.handler)
        if operation and operation.scope and route.method != "HEAD":
            yield operation


KEYED = sorted(operations(), key=lambda one: (one.address, one.method))
REFUSED = {"none": 401, "unknown": 401, "revoked": 401, "expired": 401, "elsewhere": 403}


def opens(key: str, wanted: Scope | None) -> bool:
    return wanted is not None and key in SCOPES and include_scope([key], wanted)


async def test_a_key_that_does_not_open_a_route_learns_and_changes_nothing(world: World) -> None:
    """With Ada's own ids and her name: nothing but the key is wrong."""
    before = await world.rows()
    for one in KEYED:
        owner = {"customerId": world.ada.customer}
        for name, key in world.keys.items():
            if opens(name, one.scope) or (one.key_optional and not key):
                continue
            status, code, said = await world.call(one, key, world.ada.id_for(one.address), owner)
            assert status == REFUSED.get(name, 403), (one.id, name, said)
            assert code in {"unauthenticated", "scope_missing", "network_refused"}, (one.id, name)
            assert not [x for x in world.ada.everything() if x in said], (one.id, name, said)
    assert await world.rows() == before


BILLING = [one for one in KEYED if one.address.startswith("/api/billing/")]


async def test_a_key_that_opens_a_route_gets_nothing_of_another_customers(world: World) -> None:
    """Asked for Bob, with Ada's ids: each route, with each key that opens it."""
    for one in BILLING:
        before = await world.rows()
        for name, key in world.keys.items():
            if not opens(name, one.scope):
                continue
            owner = {"customerId": world.bob.customer}
            ids = {"subscriptionId": world.ada.subscription} if "{id}" not in one.address else {}
            if (one.method, one.address) in {("GET", "/api/billing/subscriptions"), *OF_OWNER}:
                ids = {}
            status, code, said = await world.call(
                one, key, world.ada.id_for(one.address), owner | ids
            )
            hidden = set(world.ada.everything()) - {*ids.values()}
            assert not [x for x in hidden if x in said], (one.id, name, said)
            if one.address in LISTS and not ids:
                assert (status, world.bob.subscription in said) == (200, True), (one.id, said)
                continue
            if (one.method, one.address) in OF_OWNER:
                assert status == 200, (one.id, name, said)
                continue
            assert status == 404, (one.id, name, said)
            assert code.startswith("unknown_"), (one.id, name, code)
        changed = {name for name, rows in (await world.rows()).items() if rows != before[name]}
        assert changed == set(), one.id


async def test_a_key_of_some_customers_opens_nothing_without_the_owners_name(world: World) -> None:
    before = await world.rows()
    for one in BILLING:
        for name, key in world.keys.items():
            if not opens(name, one.scope) or name == "billing":
                continue
            status, code, said = await world.call(one, key, world.ada.id_for(one.address), {})
            assert not [x for x in world.ada.everything() if x in said], (one.id, name, said)
            if "{id}" in one.address:
                assert (status, code) == (403, "scope_missing"), (one.id, name, said)
            else:
                assert status in {403, 422}, (one.id, name, said)
    assert await world.rows() == before


async def test_an_order_for_a_known_customer_needs_a_key_that_may_change(
    world: World, order_a: dict[str, Any]
) -> None:
    before = await world.rows()
    for name, key in world.keys.items():
        if opens(name, "billing:change"):
            continue
        answer = await world.service.client.post(
            "/api/checkout/create-session",
            json=order_a | {"customerId": world.ada.customer},
            headers=bearer(key) if key else {},
        )
        said = await answer.text()
        assert answer.status == REFUSED.get(name, 403), (name, said)
        assert not [x for x in world.ada.everything() if x in said], (name, said)
    assert await world.rows() == before


OF_NO_ROUTE = {"admin", "admin:keys", "billing", "billing:any-customer"}
"""They include others, go with others, or are of the console."""


def test_the_matrix_has_every_route_behind_a_key() -> None:
    assert len(BILLING) >= 8
    assert {one.scope for one in KEYED} >= {*SCOPES} - OF_NO_ROUTE
