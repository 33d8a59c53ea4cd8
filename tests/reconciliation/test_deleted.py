"""mPanel deletes a row while Stripe goes on billing: no second account, and a person decides."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation import deleted
from tests.commands import run
from tests.inline_worker import InlineWorker
from tests.provisioning.world import World
from tests.reconciliation.conftest import Reconciler
from tests.service import Service
from tests.waiting import until_blocking

BY = Actor("cli:tests@here", None, None)


@pytest.fixture
def hosting(worker: InlineWorker, world: World) -> InlineWorker:
    """The worker, with its accounts in the world."""
    object.__setattr__(worker.provisioning, "drivers", world.drivers())
    return worker


async def sell(worker: InlineWorker, order: dict[str, Any]) -> dict[str, Any]:
    """Sell and provision; return the subscription's row."""
    answer = await worker.service.buy(order)
    await worker.catch_up()
    row = await worker.service.row(
        "SELECT * FROM subscriptions WHERE id = $1::text::uuid", answer["subscriptionId"]
    )
    assert row["status"] == "active"
    return {**row, "session": answer["sessionId"]}


async def trouble(service: Service) -> list[tuple[str, str]]:
    rows = await service.pool.fetch("SELECT trouble, detail FROM billing_trouble")
    return [(row["trouble"], row["detail"]) for row in rows]


async def renew(service: Service) -> None:
    """Let a month pass at Stripe, which tells of the renewal."""
    await service.stripe.advance_time(await service.stripe.now() + 32 * 86_400)
    await service.stripe.wait_idle()


def mirror_of(worker: InlineWorker) -> Mirror:
    return Mirror(worker.service.pool, worker.gateway, livemode=False)


DELETIONS = (
    "DELETE FROM tenants",
    "DELETE FROM customers",
    "SET search_path = ''; DELETE FROM public.subscriptions; RESET search_path",
)


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_a_deleted_row_gets_no_second_account(
    *,
    service: Service,
    hosting: InlineWorker,
    world: World,
    reconciler: Reconciler,
    order_a: dict[str, Any],
    deletion: str,
) -> None:
    sold = await sell(hosting, order_a)
    accounts = list(world.accounts)
    await service.pool.execute(deletion)
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 0
    kinds = ", ".join(sorted(account.product_type for account in accounts))
    expected = [
        ("row_deleted", f"its row was deleted here; at Stripe it is active; accounts: {kinds}")
    ]
    assert await trouble(service) == expected

    await renew(service)
    await hosting.catch_up()
    result = await reconciler.run()
    assert not [d for d in result.drift if d.object_type == "subscription"]
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 0
    assert world.accounts == accounts
    assert await trouble(service) == expected
    ignored = await service.pool.fetchval(
        "SELECT count(*) FROM stripe_events WHERE object_id = $1 AND status = 'ignored'",
        sold["stripe_subscription_id"],
    )
    assert ignored > 0


async def test_it_is_provisioned_again_with_the_account_that_is_still_there(
    service: Service, hosting: InlineWorker, world: World, order_a: dict[str, Any]
) -> None:
    sold = await sell(hosting, order_a)
    tenant = await service.row("SELECT id, domain FROM tenants")
    references = {account.reference for account in world.accounts}
    await service.pool.execute("DELETE FROM tenants")
    await renew(service)

    settled = await deleted.restore(mirror_of(hosting), sold["stripe_subscription_id"], BY)
    assert settled.subscription_id == sold["id"]
    await hosting.catch_up()
    again = await service.row("SELECT * FROM subscriptions")
    for column in ("id", "customer_id", "product_id", "metadata", "amount", "status"):
        assert again[column] == sold[column], column
    assert await service.row("SELECT id, domain FROM tenants") == tenant
    assert {account.reference for account in world.accounts} == references
    assert {account.actual for account in world.accounts} == {"active"}
    paid = await service.pool.fetchval("SELECT count(*) FROM invoices WHERE status = 'paid'")
    assert paid == 2
    assert await trouble(service) == []
    assert await deleted.restore(mirror_of(hosting), str(sold["id"]), BY) == settled
    with pytest.raises(ConflictError):
        await deleted.cancel(mirror_of(hosting), str(sold["id"]), BY, refund=True)


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_what_has_not_changed_at_stripe_since_is_served_again(
    service: Service, hosting: InlineWorker, order_a: dict[str, Any], deletion: str
) -> None:
    sold = await sell(hosting, order_a)
    await service.pool.execute(deletion)
    await deleted.restore(mirror_of(hosting), str(sold["id"]), BY)
    await hosting.catch_up()
    again = await service.row("SELECT * FROM subscriptions")
    assert (again["status"], again["initial_payment_settled"]) == ("active", True)
    invoice = await service.row("SELECT subscription_id, customer_id FROM invoices")
    assert tuple(invoice) == (sold["id"], sold["customer_id"])
    assert await trouble(service) == []


async def test_an_account_that_was_deleted_too_is_made_again(
    service: Service, hosting: InlineWorker, world: World, order_a: dict[str, Any]
) -> None:
    sold = await sell(hosting, order_a)
    await service.pool.execute("DELETE FROM customers")
    world.accounts.clear()
    await deleted.restore(mirror_of(hosting), str(sold["id"]), BY)
    await hosting.catch_up()
    assert {account.actual for account in world.accounts} == {"active"}
    assert (await service.row("SELECT status FROM subscriptions"))["status"] == "active"
    buyer = await service.row("SELECT id, email FROM customers")
    assert (buyer["id"], buyer["email"]) == (sold["customer_id"], "ada@example.com")


@pytest.mark.parametrize("refund", [True, False])
async def test_it_is_cancelled_at_stripe_with_or_without_a_refund(
    service: Service,
    hosting: InlineWorker,
    world: World,
    order_a: dict[str, Any],
    refund: bool,
) -> None:
    sold = await sell(hosting, order_a)
    paid = await service.pool.fetchval("SELECT amount_paid FROM invoices")
    await service.pool.execute("DELETE FROM tenants")
    settled = await deleted.cancel(
        mirror_of(hosting), sold["stripe_subscription_id"], BY, refund=refund
    )
    assert settled.refunded == (paid if refund else None)
    await hosting.catch_up()
    row = await service.row("SELECT id, status, stripe_status FROM subscriptions")
    assert tuple(row) == (sold["id"], "cancelled", "canceled")
    assert {account.actual for account in world.accounts} == {"suspended"}
    assert await service.pool.fetchval("SELECT count(*) FROM tenants") == 0
    again = await deleted.cancel(mirror_of(hosting), str(sold["id"]), BY, refund=refund)
    assert again == settled
    refunds = await service.pool.fetch("SELECT amount FROM stripe_refunds")
    assert [row["amount"] for row in refunds] == ([paid] if refund else [])
    assert await trouble(service) == []
    entries = await service.pool.fetch(
        "SELECT actor, outcome, target_id FROM billing_audit_log "
        "WHERE action = 'subscription.cancel_deleted'"
    )
    assert [tuple(entry) for entry in entries] == 2 * [(BY.name, "done", str(sold["id"]))]


@pytest.mark.parametrize(
    ("second", "sentence"),
    [("restore", "Another operator is deciding"), ("cancel", "has been restored already")],
)
async def test_of_two_operators_who_decide_at_once_the_second_is_refused(
    service: Service,
    hosting: InlineWorker,
    order_a: dict[str, Any],
    second: Literal["restore", "cancel"],
    sentence: str,
) -> None:
    """Before Stripe is called: a cancellation cannot be taken back."""
    sold = await sell(hosting, order_a)
    await service.pool.execute("DELETE FROM tenants")
    mirror, name = mirror_of(hosting), str(sold["id"])
    decide = {
        "restore": deleted.restore,
        "cancel": partial(deleted.cancel, refund=True),
    }
    async with service.pool.acquire() as other, other.transaction():
        await other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('sub:' || $1, 0))",
            sold["stripe_subscription_id"],
        )
        first = asyncio.create_task(deleted.restore(mirror, name, BY))
        await until_blocking(other, service.pool)
        with pytest.raises(ConflictError, match=sentence):
            await decide[second](mirror, name, BY)
    assert (await first).subscription_id == sold["id"]
    at_stripe = await hosting.gateway.client.v1.subscriptions.retrieve_async(
        sold["stripe_subscription_id"]
    )
    assert at_stripe.status == "active"
    claim = "SELECT claimed_until FROM billing_deleted_subscriptions"
    assert await service.pool.fetchval(claim) is None


async def test_a_decision_that_a_crash_broke_off_can_be_made_again_in_a_while(
    service: Service, hosting: InlineWorker, order_a: dict[str, Any]
) -> None:
    sold = await sell(hosting, order_a)
    await service.pool.execute("DELETE FROM tenants")
    mirror, name = mirror_of(hosting), str(sold["id"])
    claim = "UPDATE billing_deleted_subscriptions SET claimed_until = now() + $1::interval"
    await service.pool.execute(claim, timedelta(minutes=1))
    with pytest.raises(ConflictError, match="Another operator is deciding"):
        await deleted.cancel(mirror, name, BY, refund=False)
    at_stripe = await hosting.gateway.client.v1.subscriptions.retrieve_async(
        sold["stripe_subscription_id"]
    )
    assert at_stripe.status == "active"
    await service.pool.execute(claim, -timedelta(seconds=1))
    assert (await deleted.restore(mirror, name, BY)).subscription_id == sold["id"]


async def test_what_has_ended_at_stripe_is_trouble_only_while_an_account_is_left(
    service: Service, hosting: InlineWorker, order_a: dict[str, Any]
) -> None:
    sold = await sell(hosting, order_a)
    await service.pool.execute("DELETE FROM tenants")
    await hosting.gateway.client.v1.subscriptions.cancel_async(sold["stripe_subscription_id"])
    await service.stripe.wait_idle()
    [(kind, detail)] = await trouble(service)
    assert (kind, "at Stripe it is canceled" in detail) == ("row_deleted", True)
    await service.pool.execute("UPDATE billing_deleted_subscriptions SET services = '[]'")
    assert await trouble(service) == []


async def test_an_order_that_was_deleted_before_it_was_paid_waits_too(
    service: Service, hosting: InlineWorker, world: World, order_a: dict[str, Any]
) -> None:
    page = await service.order(order_a)
    await service.pool.execute("DELETE FROM customers")
    assert await trouble(service) == []
    await service.stripe.pay(page["url"], "4242424242424242")
    await hosting.catch_up()
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 0
    assert [kind for kind, _ in await trouble(service)] == ["row_deleted"]
    await deleted.restore(mirror_of(hosting), page["subscriptionId"], BY)
    await hosting.catch_up()
    row = await service.row("SELECT id::text, status FROM subscriptions")
    assert tuple(row) == (page["subscriptionId"], "active")
    assert len(world.accounts) == len({a.product_type for a in world.accounts}) > 0


async def test_an_order_that_nobody_can_pay_any_more_leaves_nothing(
    service: Service, order_a: dict[str, Any]
) -> None:
    await service.order(order_a)
    await service.pool.execute("UPDATE checkout_sessions SET status = 'expired'")
    await service.pool.execute("DELETE FROM customers")
    assert await service.pool.fetchval("SELECT count(*) FROM billing_deleted_subscriptions") == 0


async def test_an_unknown_one_is_not_found(hosting: InlineWorker) -> None:
    with pytest.raises(NotFoundError):
        await deleted.restore(mirror_of(hosting), "sub_unknown", BY)


async def test_it_is_decided_over_http(
    service: Service, hosting: InlineWorker, order_a: dict[str, Any]
) -> None:
    sold = await sell(hosting, order_a)
    await service.pool.execute("DELETE FROM tenants")
    await service.pool.execute("DELETE FROM customers")
    key = await create_key(service.pool, BY, name="grace", scopes=["admin"])
    headers = {"Authorization": f"Bearer {key.text}"}
    answer = await service.client.get("/api/admin/deleted-subscriptions", headers=headers)
    [listed] = (await answer.json())["subscriptions"]
    assert (listed["subscriptionId"], listed["stripeStatus"]) == (str(sold["id"]), "active")
    assert listed["accounts"] == ["backup", "hosting"]
    path = f"/api/admin/deleted-subscriptions/{sold['id']}"
    refused = await service.client.post(f"{path}/cancel", json={}, headers=headers)
    assert refused.status == 422
    answer = await service.client.post(f"{path}/cancel", json={"refund": True}, headers=headers)
    assert answer.status == 200, await answer.text()
    assert (await answer.json())["refunded"] > 0
    again = await service.client.post(f"{path}/restore", headers=headers)
    assert again.status == 409


async def test_it_is_decided_on_the_command_line(
    service: Service, hosting: InlineWorker, database_url: str, order_a: dict[str, Any]
) -> None:
    sold = await sell(hosting, order_a)
    at_stripe = {"STRIPE_API_BASE": service.sandbox.url}
    assert await run(database_url, "deleted", "list") == (0, "none waits for a decision\n")
    await service.pool.execute("DELETE FROM tenants")
    _, out = await run(database_url, "deleted", "list")
    assert f"{sold['id']}  {sold['stripe_subscription_id']}  active" in out
    status, out = await run(
        database_url, "deleted", "cancel", sold["stripe_subscription_id"], **at_stripe
    )
    assert (status, "--refund" in out) == (2, True)
    done = await run(database_url, "deleted", "restore", str(sold["id"]), **at_stripe)
    assert done == (0, f"restored {sold['id']}\n")
    await hosting.catch_up()
    assert (await service.row("SELECT status FROM subscriptions"))["status"] == "active"
