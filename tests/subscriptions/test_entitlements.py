"""What tenants and customers may have now, as mPanel asks."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.provisioning.desired import Entitlement, Existing, Phase, Policy
from mpanel_billing.provisioning.operations import suspend
from mpanel_billing.provisioning.product_resources import Included
from mpanel_billing.provisioning.repository.entitlements import Held
from mpanel_billing.subscriptions.entitlements import Granted, decide
from tests.subscriptions.conftest import BEARER, Backend

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = Policy(grace=7 * DAY, retention=30 * DAY)


async def of_tenant(backend: Backend, tenant_id: str) -> dict[str, Any]:
    answer = await backend.get(f"tenants/{tenant_id}/entitlements")
    assert answer.status == 200, answer.body
    entitlement: dict[str, Any] = answer.body["entitlement"]
    return entitlement


async def tenant_of(backend: Backend, id_: str) -> str:
    return str((await backend.subscription(id_))["tenant"]["id"])


async def test_a_tenant_may_have_what_is_paid_and_what_was_provisioned(
    backend: Backend, bought: str
) -> None:
    shown = await of_tenant(backend, await tenant_of(backend, bought))
    assert (shown["access"], shown["reason"], shown["until"]) == ("active", None, None)
    assert [product["productId"] for product in shown["products"]] == [
        "starter",
        "addon-backups-daily",
    ]
    assert all(product["features"] for product in shown["products"][:1])
    rows = await backend.service.pool.fetch(
        "SELECT product_type, actual, resources FROM tenant_services ORDER BY product_type"
    )
    assert shown["services"] == [
        {
            "productType": row["product_type"],
            "state": "active",
            "actual": row["actual"],
            "resources": row["resources"],
        }
        for row in rows
    ]


async def test_a_planned_end_is_said_and_a_hold_suspends_at_once(
    backend: Backend, bought: str
) -> None:
    tenant_id = await tenant_of(backend, bought)
    await backend.post(f"subscriptions/{bought}/cancel")
    ending = await of_tenant(backend, tenant_id)
    subscription = await backend.subscription(bought)
    assert subscription["willEnd"] is True
    assert (ending["access"], ending["until"]) == ("active", subscription["currentPeriodEnd"])
    pool = backend.service.pool
    await suspend(pool, UUID(bought), reason="abuse", operator="jane")
    held = await of_tenant(backend, tenant_id)
    assert (held["access"], held["reason"]) == ("suspended", "held")
    assert {service["state"] for service in held["services"]} == {"suspended"}


async def test_an_answer_that_has_not_changed_is_not_sent_again(
    backend: Backend, bought: str
) -> None:
    path = f"/api/billing/tenants/{await tenant_of(backend, bought)}/entitlements"
    client = backend.service.client
    async with client.get(path, headers=BEARER) as first:
        assert first.headers["Cache-Control"] == "no-store"
        etag = first.headers["ETag"]
    async with client.get(path, headers=BEARER | {"If-None-Match": etag}) as again:
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["Cache-Control"] == "no-store"
    await backend.service.pool.execute(
        "UPDATE products SET resources = resources || '{\"storage_gb\": 777}'"
        " WHERE code = 'starter'"
    )
    async with client.get(path, headers=BEARER | {"If-None-Match": etag}) as changed:
        assert changed.status == 200
        assert '"storage_gb":777' in (await changed.text()).replace(" ", "")


async def test_a_customer_has_the_entitlements_of_each_subscription(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    second = await backend.service.buy(order_a | {"planId": "premium"})
    await backend.worker.catch_up()
    customer = await backend.customer_of(bought)
    answer = await backend.get(f"customers/{customer}/entitlements")
    assert [one["subscriptionId"] for one in answer.body["entitlements"]] == [
        second["subscriptionId"],
        bought,
    ]
    first = await backend.get(f"customers/{customer}/entitlements", limit="1")
    rest = await backend.get(
        f"customers/{customer}/entitlements", limit="1", cursor=first.body["nextCursor"]
    )
    pages = [*first.body["entitlements"], *rest.body["entitlements"]]
    assert (pages, rest.body["nextCursor"]) == (answer.body["entitlements"], None)
    assert (await backend.get(f"customers/{uuid4()}/entitlements")).status == 404


async def test_what_is_another_customers_is_not_found(backend: Backend, bought: str) -> None:
    tenant_id = await tenant_of(backend, bought)
    other = await backend.get(f"tenants/{tenant_id}/entitlements", customerId=str(uuid4()))
    assert (other.status, other.body["code"]) == (404, "unknown_tenant")
    missing = await backend.get(f"tenants/{uuid4()}/entitlements")
    assert (missing.status, missing.body["code"]) == (404, "unknown_tenant")
    issued = await create_key(
        backend.service.pool, Actor("jane", None), name="shop", scopes=["billing:read"]
    )
    headers = {"Authorization": f"Bearer {issued.text}"}
    path = f"/api/billing/tenants/{tenant_id}/entitlements"
    async with backend.service.client.get(path, headers=headers) as unnamed:
        assert unnamed.status == 403
    customer = await backend.customer_of(bought)
    async with backend.service.client.get(
        path, headers=headers, params={"customerId": customer}
    ) as named:
        assert named.status == 200


def granted(*, is_served: bool = True, **changed: Any) -> Granted:
    entitled = {
        "stripe_status": "active",
        "settled": True,
        "items": (Included(("hosting",), {"storage_gb": 10}),),
        "existing": {"hosting": Existing(provisioned=True)},
    }
    times = {"trial_end": None, "ends_at": None, "used_up_until": None}
    held = Held(
        subscription_id=uuid4(),
        customer_id=None,
        tenant_id=None,
        domain=None,
        now=NOW,
        created_at=NOW,
        products=(),
        accounts={"hosting": "active"},
        is_served=is_served,
        **{name: changed.pop(name, None) for name in times},
        entitlement=Entitlement(**(entitled | changed)),
    )
    return decide(held, POLICY)


def test_days_of_grace_end_the_access_and_what_follows_is_announced() -> None:
    in_grace = granted(stripe_status="past_due", owed_since=NOW - 2 * DAY)
    assert (in_grace.desired.phase, in_grace.until) == (Phase.ACTIVE, NOW + 5 * DAY)


def test_a_debt_counts_once_a_run_has_suspended_for_it() -> None:
    owed = {"stripe_status": "past_due", "owed_since": NOW - 9 * DAY}
    assert granted(**owed).desired.phase is Phase.ACTIVE
    suspended = granted(**owed, is_served=False).desired
    assert (suspended.phase, suspended.reason) == (Phase.SUSPENDED, "unpaid")


@pytest.mark.parametrize(
    ("changed", "until"),
    [
        ({"stripe_status": "trialing", "trial_end": NOW + DAY}, NOW + DAY),
        ({"ends_at": NOW + 3 * DAY}, NOW + 3 * DAY),
        ({"trial_end": NOW - DAY}, None),
        ({"used_up": True, "used_up_until": NOW + 9 * DAY, "ends_at": NOW + DAY}, NOW + 9 * DAY),
        ({"stripe_status": "canceled", "ended_at": NOW - DAY}, NOW + 29 * DAY),
    ],
)
def test_when_it_changes_by_itself_is_said(changed: dict[str, Any], until: datetime | None) -> None:
    assert granted(**changed).until == until
