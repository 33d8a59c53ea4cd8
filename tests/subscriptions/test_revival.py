"""Reviving a customer: a new subscription at Stripe for the same tenant and accounts."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
import stripe

from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.subscriptions import has_coupon
from tests.commands import run
from tests.service import make_settings
from tests.subscriptions.conftest import GOOD_CARD, KEY, Answer, Backend
from tests.subscriptions.test_after_end import RETENTION_IS_OVER, Ended
from tests.subscriptions.test_after_end import ended as ended_fixture
from tests.waiting import until_blocking

ended = ended_fixture

ADMIN_KEY = "a" * 32


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
        admin_api_keys=ADMIN_KEY,
    )


async def revive(backend: Backend, id_: str, key: str | None = None, body: object = None) -> Answer:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    headers |= {"Idempotency-Key": key} if key else {}
    async with backend.service.client.post(
        f"/api/admin/subscriptions/{id_}/revive", headers=headers, json=body
    ) as response:
        return Answer(response.status, await response.json(), response.headers)


async def at_stripe(backend: Backend) -> list[stripe.Subscription]:
    """Return the subscriptions that have not ended."""
    page = await backend.worker.gateway.client.v1.subscriptions.list_async()
    return list(page.data)


async def accounts(backend: Backend, id_: str) -> list[tuple[str, str]]:
    rows = await backend.service.pool.fetch(
        "SELECT external_ref, actual FROM tenant_services WHERE subscription_id::text = $1"
        " ORDER BY product_type",
        id_,
    )
    return [(row["external_ref"], row["actual"]) for row in rows]


async def tenant(backend: Backend, id_: str) -> str:
    row = await backend.service.row(
        "SELECT id::text FROM tenants WHERE billing_subscription_id::text = $1", id_
    )
    return str(row["id"])


async def test_who_paid_after_the_end_is_revived_and_billed_from_the_end_of_that_time(
    ended: Ended,
) -> None:
    backend = ended.backend
    await ended.pay()
    await backend.worker.catch_up()
    had, home = await accounts(backend, ended.id), await tenant(backend, ended.id)
    assert {state for _, state in had} == {"suspended"}
    answer = await revive(backend, ended.id)
    assert answer.status == 200, answer.body
    await backend.worker.catch_up()

    [subscription] = await at_stripe(backend)
    assert (subscription.id, subscription.status, subscription.trial_end) == (
        answer.body["stripeSubscriptionId"],
        "active",
        None,
    )
    (late, _) = await backend.invoices(ended.id)
    paid_until = datetime.fromisoformat(late["periodEnd"])
    assert subscription.billing_cycle_anchor == int(paid_until.timestamp())
    assert subscription.latest_invoice is None

    successor = answer.body["subscriptionId"]
    assert await accounts(backend, successor) == [(ref, "active") for ref, _ in had]
    assert await accounts(backend, ended.id) == []
    assert await tenant(backend, successor) == home
    assert (await backend.subscription(successor))["status"] == "active"
    assert await ended.trouble() == []
    assert await backend.service.pool.fetch(
        "SELECT action, outcome FROM billing_audit_log WHERE action = 'subscription.revive'"
    ) == [("subscription.revive", "done")]


@pytest.mark.parametrize("key", [None, "once"])
async def test_a_repeated_revival_is_one(ended: Ended, key: str | None) -> None:
    await ended.pay()
    await ended.backend.worker.catch_up()
    first = await revive(ended.backend, ended.id, key)
    second = await revive(ended.backend, ended.id, key)
    assert (first.status, second.status) == (200, 200)
    assert second.body["stripeSubscriptionId"] == first.body["stripeSubscriptionId"]
    await ended.backend.worker.catch_up()
    third = await revive(ended.backend, ended.id)
    assert (third.status, third.body["changed"]) == (200, False)
    assert len(await at_stripe(ended.backend)) == 1


@pytest.mark.parametrize("after_work", [False, True])
async def test_a_revival_whose_response_was_lost_is_one(ended: Ended, *, after_work: bool) -> None:
    """Also if the process is gone: the webhook brings the subscription, and the worker goes on."""
    await ended.pay()
    await ended.backend.worker.catch_up()
    await ended.backend.service.stripe.inject_fault(
        "reset", method="POST", path="/v1/subscriptions", times=3, after_work=after_work
    )
    assert (await revive(ended.backend, ended.id)).status == 503
    await ended.backend.worker.catch_up()
    lost = await at_stripe(ended.backend)
    assert len(lost) == int(after_work)
    if after_work:
        [row] = await ended.backend.service.pool.fetch(
            "SELECT id::text FROM subscriptions WHERE stripe_subscription_id = $1", lost[0].id
        )
        assert {state for _, state in await accounts(ended.backend, row["id"])} == {"active"}
    assert (await revive(ended.backend, ended.id)).status == 200
    await ended.backend.worker.catch_up()
    assert len(await at_stripe(ended.backend)) == 1
    assert await ended.trouble() == []


@pytest.mark.parametrize("key", [None, "second"])
async def test_a_revival_with_another_key_finds_what_a_lost_response_has_created(
    ended: Ended, *, key: str | None
) -> None:
    """Also while its webhook has not arrived."""
    await ended.pay()
    await ended.backend.worker.catch_up()
    sandbox = ended.backend.service.stripe
    await sandbox.set_delivery(hold=True)
    await sandbox.inject_fault(
        "reset", method="POST", path="/v1/subscriptions", times=3, after_work=True
    )
    assert (await revive(ended.backend, ended.id, "first")).status == 503
    [made] = await at_stripe(ended.backend)
    again = await revive(ended.backend, ended.id, key)
    assert (again.status, again.body["stripeSubscriptionId"]) == (200, made.id)
    assert len(await at_stripe(ended.backend)) == 1


async def test_nothing_is_charged_for_a_revival_that_comes_too_late(
    ended: Ended, order_a: dict[str, Any]
) -> None:
    """Another subscription finishes taking over the accounts while the revival is checked."""
    pool = ended.backend.service.pool
    other_order = await ended.backend.service.order(order_a)
    await pool.execute(
        "INSERT INTO billing_takeovers (subscription_id, predecessor_id, reason)"
        " VALUES ($1::text::uuid, $2::text::uuid, 'returned')",
        other_order["subscriptionId"],
        ended.id,
    )
    before = await at_stripe(ended.backend)
    async with pool.acquire() as other, other.transaction():
        await other.execute("UPDATE billing_takeovers SET done_at = now()")
        reviving = asyncio.create_task(revive(ended.backend, ended.id))
        await until_blocking(other, pool)
    answer = await reviving
    assert (answer.status, answer.body["code"]) == (409, "taken_over")
    assert await at_stripe(ended.backend) == before


async def test_if_the_time_that_was_paid_is_over_the_revival_is_charged_at_once(
    ended: Ended,
) -> None:
    # only Stripe's clock is a month ahead
    await ended.backend.service.pool.execute(
        "UPDATE invoices SET period_end = now() - interval '1 day'"
    )
    declined = await revive(ended.backend, ended.id)
    assert (declined.status, declined.body["code"]) == (402, "card_declined")
    assert await at_stripe(ended.backend) == []
    await ended.backend.give_card(ended.id, GOOD_CARD)
    revived = await revive(ended.backend, ended.id)
    assert revived.status == 200, revived.body
    await ended.backend.worker.catch_up()
    (paid,) = await ended.backend.invoices(revived.body["subscriptionId"])
    assert paid["amountPaid"] > 0
    states = {state for _, state in await accounts(ended.backend, revived.body["subscriptionId"])}
    assert states == {"active"}


async def test_what_cannot_be_revived_is_refused_with_the_reason(
    ended: Ended,
) -> None:
    await ended.work_after(RETENTION_IS_OVER)
    gone = await revive(ended.backend, ended.id)
    assert (gone.status, gone.body["code"]) == (409, "accounts_terminated")
    unknown = await revive(ended.backend, "sub_none")
    assert unknown.status == 404


async def test_a_living_subscription_is_not_revived(backend: Backend, bought: str) -> None:
    answer = await revive(backend, bought)
    assert (answer.status, answer.body["code"]) == (409, "not_ended")


async def test_the_command_revives_once(ended: Ended, database_url: str) -> None:
    await ended.pay()
    await ended.backend.worker.catch_up()
    words, sandbox = ("provision", "revive", ended.id), ended.backend.service.sandbox.url
    status, out = await run(database_url, *words, STRIPE_API_BASE=sandbox)
    [made] = await at_stripe(ended.backend)
    assert (status, out.startswith(f"revived as {made.id} (")) == (0, True)
    status, out = await run(database_url, *words, STRIPE_API_BASE=sandbox)
    assert (status, out.startswith(f"it was revived before, as {made.id} (")) == (0, True)
    assert len(await at_stripe(ended.backend)) == 1


async def end_with_discount(backend: Backend, id_: str, **coupon: Any) -> str:
    """Give a subscription a discount, end it while it is paid, and return the coupon."""
    api = backend.worker.gateway.client.v1
    made = await api.coupons.create_async({"percent_off": 10, **coupon})  # type: ignore[typeddict-item]
    stripe_id, _ = await backend.stripe_ids(id_)
    await api.subscriptions.update_async(stripe_id, {"discounts": [{"coupon": made.id}]})
    await api.subscriptions.cancel_async(stripe_id)
    await backend.worker.catch_up()
    return made.id


async def test_a_discount_that_goes_on_is_copied(backend: Backend, bought: str) -> None:
    coupon = await end_with_discount(backend, bought, duration="forever")
    answer = await revive(backend, bought)
    assert answer.status == 200, answer.body
    [revived] = await at_stripe(backend)
    assert await has_coupon(backend.worker.gateway, revived.id, coupon)


async def test_a_discount_that_would_start_over_is_left_out_if_the_operator_says_so(
    backend: Backend, bought: str
) -> None:
    await end_with_discount(backend, bought, duration="repeating", duration_in_months=12)
    refused = await revive(backend, bought)
    assert (refused.status, refused.body["code"]) == (409, "discount_not_copyable")
    assert await at_stripe(backend) == []
    answer = await revive(backend, bought, body={"withoutDiscounts": True})
    assert answer.status == 200, answer.body
    [revived] = await at_stripe(backend)
    assert revived.discounts == []


async def test_a_successor_that_ends_before_it_takes_over_makes_place_for_another(
    ended: Ended,
) -> None:
    backend = ended.backend
    await ended.pay()
    await backend.worker.catch_up()
    had = await accounts(backend, ended.id)
    first = await revive(backend, ended.id)
    api = backend.worker.gateway.client.v1.subscriptions
    await api.cancel_async(first.body["stripeSubscriptionId"])
    await backend.worker.catch_up()
    assert await backend.service.pool.fetch("SELECT 1 FROM billing_takeovers") == []
    assert await accounts(backend, ended.id) == had
    assert "paid_after_end" in await ended.trouble()

    second = await revive(backend, ended.id)
    assert second.status == 200, second.body
    assert second.body["subscriptionId"] != first.body["subscriptionId"]
    await backend.worker.catch_up()
    taken = await accounts(backend, second.body["subscriptionId"])
    assert taken == [(reference, "active") for reference, _ in had]
    assert await ended.trouble() == []
    again = await revive(backend, ended.id)
    assert (again.body["subscriptionId"], again.body["changed"]) == (
        second.body["subscriptionId"],
        False,
    )


async def test_a_payment_that_was_settled_otherwise_is_no_time_that_was_paid_for(
    ended: Ended,
) -> None:
    backend = ended.backend
    await ended.pay()
    await backend.worker.catch_up()
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with backend.service.client.post(
        f"/api/admin/subscriptions/{ended.id}/keep-payment",
        headers=headers,
        json={"reason": "refunded by bank transfer"},
    ) as response:
        body = await response.json()
    assert (response.status, [p["invoiceId"] for p in body["payments"]]) == (200, [ended.invoice])
    assert await ended.trouble() == []
    # only Stripe's clock is a month ahead
    await backend.service.pool.execute(
        "UPDATE invoices SET period_end = now() - interval '1 day' WHERE stripe_invoice_id <> $1",
        ended.invoice,
    )
    answer = await revive(backend, ended.id)
    assert answer.status == 200, answer.body
    [revived] = await at_stripe(backend)
    assert revived.latest_invoice is not None, "it is billed at once"
