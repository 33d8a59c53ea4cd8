"""A customer who pays in two currencies has two Stripe customers: each of them is billed in one."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.service import CREATE_SESSION
from tests.subscriptions.conftest import BEARER, Backend

STARTER = "prices = { monthly = 799, annually = 2988, biennially = 4776, triennially = 5364 }\n"
EUROS = "prices_in = { eur = { monthly = 749, annually = 2799 } }\n"


@pytest.fixture
async def offers(pool: Pool, gateway: StripeGateway, tmp_path: Path) -> None:
    """The default catalogue, with one plan that is sold in euros too."""
    text = DEFAULT_CATALOGUE.read_text()
    assert STARTER in text
    file = tmp_path / "catalogue.toml"
    file.write_text(text.replace(STARTER, STARTER + EUROS))
    await apply_catalogue(pool, read_catalogue_file(file))
    await push_catalogue(pool, StripeCatalogue(gateway.client), livemode=False)


@pytest.fixture
async def customer(backend: Backend) -> str:
    return str(
        await backend.service.pool.fetchval(
            """WITH u AS (INSERT INTO users (email, password_hash, email_verified)
                          VALUES ('ada@example.com', 'x', TRUE) RETURNING id)
               INSERT INTO customers (user_id) SELECT id FROM u RETURNING id"""
        )
    )


@pytest.fixture
def dollars(order_a: dict[str, Any], customer: str) -> dict[str, Any]:
    return order_a | {"addonIds": [], "customerId": customer}


@pytest.fixture
def euros(dollars: dict[str, Any]) -> dict[str, Any]:
    return dollars | {"currency": "eur"}


async def pay(backend: Backend, order: dict[str, Any]) -> str:
    """Pay an order; return its Stripe customer."""
    assert (await backend.service.stripe.pay(order["url"])).status == 303
    await backend.worker.catch_up()
    _, stripe_customer = await backend.stripe_ids(order["subscriptionId"])
    return stripe_customer


async def principal(backend: Backend) -> str:
    row = await backend.service.row("SELECT stripe_customer_id FROM customers")
    return str(row["stripe_customer_id"])


async def test_an_order_in_another_currency_runs_on_a_second_stripe_customer(
    backend: Backend, customer: str, dollars: dict[str, Any], euros: dict[str, Any]
) -> None:
    orders = [await backend.service.order(dollars, **BEARER)]
    in_dollars = await pay(backend, orders[0])
    orders.append(await backend.service.order(euros, **BEARER))
    in_euros = await pay(backend, orders[1])
    assert in_dollars != in_euros
    assert await principal(backend) == in_dollars
    # the next order in either currency finds the one that has been paid in it
    for body, known in ((euros, in_euros), (dollars, in_dollars)):
        orders.append(await backend.service.order(body | {"billingCycle": "annually"}, **BEARER))
        assert await pay(backend, orders[-1]) == known
    assert await principal(backend) == in_dollars

    listed = await backend.get("subscriptions", customerId=customer)
    ids = {order["subscriptionId"] for order in orders}
    assert {row["id"] for row in listed.body["subscriptions"]} == ids
    invoices = await backend.get("invoices", customerId=customer)
    assert sorted(row["currency"] for row in invoices.body["invoices"]) == [
        *("eur", "eur"),
        *("usd", "usd"),
    ]


async def test_the_portal_opens_for_either_currency(
    backend: Backend, customer: str, dollars: dict[str, Any], euros: dict[str, Any]
) -> None:
    orders, known = [], []
    for body in (dollars, euros):
        orders.append(await backend.service.order(body, **BEARER))
        known.append(await pay(backend, orders[-1]))
    names: list[dict[str, str]] = [
        {"currency": "usd"},
        {"currency": "eur"},
        {"subscriptionId": orders[0]["subscriptionId"]},
        {"subscriptionId": orders[1]["subscriptionId"]},
    ]
    for named in names:
        assert await backend.done("portal-session", named | {"customerId": customer})
    rows = await backend.service.pool.fetch(
        "SELECT details ->> 'stripeCustomerId' AS id FROM billing_audit_log"
        " WHERE action = 'customer.portal' AND details ? 'stripeCustomerId' ORDER BY id"
    )
    assert {row["id"] for row in rows} == set(known)
    other = {"currency": "jpy", "customerId": customer}
    refused = await backend.post("portal-session", other)
    assert (refused.status, refused.body["code"]) == (404, "no_stripe_customer")


async def test_two_orders_at_once_in_two_currencies_do_not_share_a_stripe_customer(
    backend: Backend, dollars: dict[str, Any], euros: dict[str, Any]
) -> None:
    """Nothing is billed on their principal one any more, so either alone could use it."""
    order = await backend.service.order(dollars, **BEARER)
    await backend.worker.gateway.client.v1.subscriptions.cancel_async(
        await _subscription_of(backend, order)
    )
    await backend.worker.catch_up()
    responses = await asyncio.gather(
        *(
            backend.service.client.post(
                CREATE_SESSION, json=body | {"billingCycle": "annually"}, headers=BEARER
            )
            for body in (dollars, euros)
        )
    )
    # the later one may replace the earlier one while its page is being made
    assert {response.status for response in responses} <= {200, 409}
    rows = await backend.service.pool.fetch(
        "SELECT stripe_customer_id AS id FROM subscriptions WHERE billing_cycle = 'annually'"
    )
    assert len({row["id"] for row in rows}) == 2


async def _subscription_of(backend: Backend, order: dict[str, Any]) -> str:
    await pay(backend, order)
    stripe_id, _ = await backend.stripe_ids(order["subscriptionId"])
    return stripe_id


async def test_once_nothing_is_billed_in_the_old_currency_the_same_one_is_used(
    backend: Backend, dollars: dict[str, Any], euros: dict[str, Any]
) -> None:
    order = await backend.service.order(dollars, **BEARER)
    await backend.worker.gateway.client.v1.subscriptions.cancel_async(
        await _subscription_of(backend, order)
    )
    await backend.worker.catch_up()
    later = await backend.service.order(euros, **BEARER)
    assert await pay(backend, later) == await principal(backend)


async def test_the_portal_does_not_open_for_what_anyone_ordered_and_nobody_paid(
    backend: Backend, customer: str, order_a: dict[str, Any]
) -> None:
    """A card that the customer saves there would pay for it."""
    trial = await backend.service.buy(order_a | {"trialActive": True})
    await backend.worker.catch_up()
    refused = await backend.post("portal-session", {"customerId": customer})
    assert (refused.status, refused.body["code"]) == (404, "no_stripe_customer")
    named = {"customerId": customer, "subscriptionId": trial["subscriptionId"]}
    assert await backend.done("portal-session", named)
