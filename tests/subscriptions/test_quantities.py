"""Several of a plan or an add-on, as far as the catalogue allows it: at checkout and afterwards."""

from datetime import datetime
from typing import Any

import pytest

from tests.commands import run_command
from tests.subscriptions.conftest import Backend

STARTER = {"planId": "starter", "billingCycle": "monthly"}
BACKUPS = "addon-backups-daily"
CREATE = "/api/checkout/create-session"


@pytest.fixture(autouse=True)
async def several(backend: Backend) -> None:
    """Up to five of the starter plan, and ten of its backups."""
    await backend.service.pool.execute(
        "UPDATE products SET max_quantity = CASE kind WHEN 'plan' THEN 5 ELSE 10 END,"
        " updated_at = now() WHERE code = ANY($1)",
        ["starter", BACKUPS],
    )


def quantities(shown: dict[str, Any]) -> dict[str, int]:
    return {item["productId"]: item["quantity"] for item in shown["items"]}


async def unit_amounts(backend: Backend) -> tuple[int, int]:
    """What starter and backups cost a month."""
    rows = await backend.service.pool.fetch(
        "SELECT products.code, p.unit_amount FROM prices AS p"
        " JOIN products ON products.id = p.product_id"
        " WHERE p.billing_cycle = 'monthly' AND p.currency = 'usd' AND p.active"
    )
    amounts = {row["code"]: row["unit_amount"] for row in rows}
    return amounts["starter"], amounts[BACKUPS]


async def test_several_are_ordered_charged_and_provisioned(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.buy(order_a | {"quantities": {"starter": 2, BACKUPS: 3}})
    await backend.worker.catch_up()
    id_ = str(order["subscriptionId"])
    starter, backups = await unit_amounts(backend)
    shown = await backend.subscription(id_)
    assert quantities(shown) == {"starter": 2, BACKUPS: 3}
    assert shown["amount"] == 2 * starter + 3 * backups
    assert shown["status"] == "active"
    (invoice,) = await backend.invoices(id_)
    assert invoice["amountPaid"] >= shown["amount"]
    sold = await backend.service.pool.fetchval(
        "SELECT resources FROM products WHERE code = 'starter'"
    )
    given = await backend.service.pool.fetchval(
        "SELECT resources FROM tenant_services WHERE product_type = 'hosting'"
    )
    assert given["disk_gb"] == 2 * sold["disk_gb"]


async def test_a_cart_has_quantities_too(backend: Backend, order_a: dict[str, Any]) -> None:
    cart = [
        {"id": "hosting:starter:monthly", "type": "hosting", "plan": "starter", "quantity": 2},
        {"id": BACKUPS, "type": "addon", "quantity": 3},
        {"id": BACKUPS, "type": "email", "quantity": 1},
    ]
    order = await backend.service.buy(order_a | {"addonIds": [], "cartItems": cart})
    await backend.worker.catch_up()
    shown = await backend.subscription(str(order["subscriptionId"]))
    assert quantities(shown) == {"starter": 2, BACKUPS: 3}


@pytest.mark.parametrize(
    ("more", "field", "problem"),
    [
        ({"quantities": {"starter": 6}}, "quantities.starter", "must be from 1 to 5"),
        ({"quantities": {"starter": 0}}, "quantities.starter", "must be from 1 to 5"),
        ({"quantities": {"premium": 2}}, "quantities.premium", "is neither the plan"),
        (
            {"planId": "premium", "quantities": {"premium": 2}},
            "quantities.premium",
            "must be 1",
        ),
        (
            {"cartItems": [{"id": BACKUPS, "type": "addon", "quantity": 11}]},
            "cartItems[0].quantity",
            "must be from 1 to 10",
        ),
    ],
)
async def test_more_than_there_may_be_is_refused(
    backend: Backend, order_a: dict[str, Any], more: dict[str, Any], field: str, problem: str
) -> None:
    async with backend.service.client.post(CREATE, json=order_a | more) as response:
        body = await response.json()
    assert (response.status, body["code"]) == (422, "quantity_not_sold")
    assert body["fields"][field].startswith(problem)


async def test_another_number_is_another_order(backend: Backend, order_a: dict[str, Any]) -> None:
    one = await backend.service.order(order_a)
    two = await backend.service.order(order_a | {"quantities": {"starter": 2}})
    again = await backend.service.order(order_a | {"quantities": {"starter": 2}})
    assert one["sessionId"] != two["sessionId"] == again["sessionId"]


async def test_more_is_charged_at_once_and_less_waits_for_the_end_of_the_term(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}"
    starter, backups = await unit_amounts(backend)
    more = STARTER | {"quantities": {BACKUPS: 4}}
    preview = await backend.done(f"{path}/preview-change", more)
    assert (preview["effectiveAt"], preview["recurring"]) == (None, starter + 4 * backups)
    token = {"previewToken": preview["previewToken"]}
    body = await backend.done(f"{path}/change-plan", token, "more")
    assert quantities(body["subscription"]) == {"starter": 1, BACKUPS: 4}
    await backend.worker.catch_up()
    assert (await backend.charged(bought))["amountPaid"] == preview["dueNow"] > 0
    assert not (await backend.done(f"{path}/change-plan", more))["changed"]

    less = STARTER | {"quantities": {BACKUPS: 2}}
    later = await backend.done(f"{path}/preview-change", less)
    assert (later["dueNow"], later["recurring"]) == (0, starter + 2 * backups)
    assert later["effectiveAt"] is not None
    planned = (await backend.done(f"{path}/change-plan", less))["subscription"]["plannedChange"]
    assert planned["quantities"] == {BACKUPS: 2}
    assert not (await backend.done(f"{path}/change-plan", less))["changed"]
    other = await backend.post(f"{path}/change-plan", STARTER | {"quantities": {BACKUPS: 3}})
    assert (other.status, other.body["code"]) == (409, "change_planned")
    end = datetime.fromisoformat(later["effectiveAt"]).timestamp()
    await backend.service.stripe.advance_time(int(end) + 7200)
    await backend.worker.catch_up()
    assert quantities(await backend.subscription(bought)) == {"starter": 1, BACKUPS: 2}
    assert (await backend.invoices(bought))[0]["amountPaid"] == later["nextCharge"]["amount"]


async def test_more_than_there_may_be_is_no_change_either(backend: Backend, bought: str) -> None:
    path = f"subscriptions/{bought}/preview-change"
    for wanted, field in (
        (STARTER | {"quantities": {"starter": 6}}, "quantities.starter"),
        (STARTER | {"quantities": {"premium": 2}}, "quantities.premium"),
        (STARTER | {"addonIds": [], "quantities": {BACKUPS: 2}}, f"quantities.{BACKUPS}"),
    ):
        refused = await backend.post(path, wanted)
        assert (refused.status, refused.body["code"]) == (422, "quantity_not_sold")
        assert list(refused.body["fields"]) == [field]


async def test_a_plan_that_one_has_once_takes_the_place_of_several_only_if_it_is_said(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.buy(order_a | {"quantities": {"starter": 2}})
    await backend.worker.catch_up()
    path = f"subscriptions/{order['subscriptionId']}"
    premium = {"planId": "premium", "billingCycle": "monthly", "when": "now"}
    refused = await backend.post(f"{path}/preview-change", premium)
    assert refused.body["fields"] == {"quantities.premium": "must be 1"}
    body = await backend.done(f"{path}/change-plan", premium | {"quantities": {"premium": 1}})
    assert quantities(body["subscription"])["premium"] == 1


@pytest.mark.parametrize("when", ["now", "period_end"])
async def test_another_plan_takes_over_the_quantity(
    backend: Backend, order_a: dict[str, Any], when: str
) -> None:
    """Stripe sets it to 1 with a price, unless it is told."""
    await backend.service.pool.execute(
        "UPDATE products SET max_quantity = 5, updated_at = now() WHERE code = 'premium'"
    )
    order = await backend.service.buy(order_a | {"quantities": {"starter": 3, BACKUPS: 2}})
    await backend.worker.catch_up()
    id_ = str(order["subscriptionId"])
    premium = {"planId": "premium", "billingCycle": "monthly", "when": when}
    preview = await backend.done(f"subscriptions/{id_}/preview-change", premium)
    body = await backend.done(f"subscriptions/{id_}/change-plan", premium)
    if when == "period_end":
        end = datetime.fromisoformat(body["subscription"]["currentPeriodEnd"]).timestamp()
        await backend.service.stripe.advance_time(int(end) + 7200)
    await backend.worker.catch_up()
    shown = await backend.subscription(id_)
    assert quantities(shown) == {"premium": 3, BACKUPS: 2}
    assert shown["amount"] == preview["recurring"]


async def test_support_changes_quantities_by_command(backend: Backend, bought: str) -> None:
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)
    wanted = (
        "change",
        bought,
        "--plan",
        "starter",
        "--cycle",
        "monthly",
        "--quantity",
        "starter=3",
    )
    ended = await run_command(url, *wanted, stripe_url=stripe_url)
    assert ended.status == 0, ended.err
    assert quantities(await backend.subscription(bought))["starter"] == 3
    wrong = await run_command(url, *wanted[:-1], "starter=some", stripe_url=stripe_url)
    assert (wrong.status, "is not like starter=2" in wrong.err) == (2, True)
