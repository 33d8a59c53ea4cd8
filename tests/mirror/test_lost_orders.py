"""A subscription of an order that is not here: lost with a backup, or never ours."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.mirror.snapshot import snapshot_of_answer
from tests import stripe_objects as made
from tests.inbox import Inbox

ORDER = UUID("0b54d8a6-7d3a-4c34-9f53-0a1b2c3d4e5f")
BUYER = UUID("7c1e2a3b-5d6f-4a7b-8c9d-0e1f2a3b4c5d")
METADATA = {
    "subscriptionId": str(ORDER),
    "checkoutAttempt": "1",
    "planId": "starter",
    "billingCycle": "monthly",
    "trialActive": "false",
    "addonIds": "addon-backups-daily,addon-ssl",
    "domainMode": "register",
    "domainValue": "xn--mnchen-3ya.example",
    "domainUnicode": "münchen.example",
    "freeDomain": "true",
    "furtherDomains": "a.example,b.example",
    "productTypes": "hosting,backup",
}


def customer(**metadata: str) -> dict[str, Any]:
    return {
        "id": "cus_1",
        "object": "customer",
        "livemode": False,
        "email": "ada@example.com",
        "name": "Ada",
        "phone": "+491234",
        "address": {"line1": "1 Main St", "country": "DE"},
        "metadata": metadata,
    }


OURS = customer(subscriptionId=str(ORDER), customerId=str(BUYER), company="Ada & Co")


async def fetch(inbox: Inbox, its_customer: object, **more: Any) -> None:
    """Apply the subscription as Stripe returns it with its customer."""
    stripe_object = made.subscription(metadata=more.pop("metadata", METADATA), **more)
    now = datetime(2026, 9, 30, tzinfo=UTC)
    snapshot = snapshot_of_answer(
        {**stripe_object, "customer": its_customer},
        since=now,
        as_of=now,
        livemode=False,
        read_after=None,
    )
    await inbox.mirror.apply([snapshot])


async def trouble(inbox: Inbox) -> list[tuple[str, str]]:
    rows = await inbox.pool.fetch(
        "SELECT trouble, detail FROM billing_trouble "
        "WHERE trouble NOT IN ('not_provisioned', 'item_unplaced')"
    )
    return [(row["trouble"], row["detail"]) for row in rows]


async def test_an_event_of_it_makes_no_row_but_has_it_fetched(inbox: Inbox) -> None:
    stripe_object = made.subscription(metadata=METADATA)
    assert await inbox.deliver("customer.subscription.created", stripe_object) == "applied"
    assert await inbox.pool.fetchval("SELECT count(*) FROM subscriptions") == 0
    asked = await inbox.row("SELECT object_id, reason FROM stripe_refetches")
    assert tuple(asked) == ("sub_1", "names an order that is not here")


async def test_it_comes_back_with_its_id_plan_domain_and_buyer(inbox: Inbox) -> None:
    await fetch(inbox, OURS)
    row = await inbox.subscription()
    assert (row["id"], row["customer_id"]) == (ORDER, BUYER)
    assert row["metadata"] == {
        "planId": "starter",
        "billingCycle": "monthly",
        "trialActive": False,
        "addonIds": ["addon-backups-daily", "addon-ssl"],
        "domainMode": "register",
        "domainValue": "xn--mnchen-3ya.example",
        "domainUnicode": "münchen.example",
        "freeDomain": True,
        "furtherDomains": ["a.example", "b.example"],
        "customerEmail": "ada@example.com",
        "productTypes": ["hosting", "backup"],
        "couponCode": None,
    }
    buyer = await inbox.row("SELECT * FROM customers")
    assert (buyer["id"], buyer["stripe_customer_id"]) == (BUYER, "cus_1")
    assert (buyer["email"], buyer["name"], buyer["phone"]) == ("ada@example.com", "Ada", "+491234")
    assert (buyer["company_name"], buyer["address_line1"]) == ("Ada & Co", "1 Main St")
    assert buyer["metadata"] == {"firstSubscriptionId": str(ORDER)}
    assert await trouble(inbox) == []


async def test_it_comes_back_to_a_buyer_whose_record_is_here(inbox: Inbox) -> None:
    await inbox.order()
    await inbox.pool.execute("DELETE FROM subscriptions")
    known = await inbox.row("SELECT id, name FROM customers")
    await fetch(inbox, customer())
    row = await inbox.subscription()
    assert (row["id"], row["customer_id"]) == (ORDER, known["id"])
    assert await inbox.row("SELECT id, name FROM customers") == known


async def test_it_comes_back_to_the_account_that_its_buyers_record_has_joined(
    inbox: Inbox,
) -> None:
    account = await inbox.pool.fetchval("INSERT INTO customers DEFAULT VALUES RETURNING id")
    await inbox.pool.execute(
        "INSERT INTO customers (id, joined_id, joined_at) VALUES ($1, $2, '2026-01-01')",
        BUYER,
        account,
    )
    await fetch(inbox, OURS)
    row = await inbox.subscription()
    assert (row["id"], row["customer_id"]) == (ORDER, account)


@pytest.mark.parametrize(
    "other",
    [
        customer(),
        customer(customerId="not one of ours"),
        {"id": "cus_1", "object": "customer", "deleted": True},
    ],
)
async def test_what_its_stripe_customer_does_not_confirm_is_trouble(
    inbox: Inbox, other: dict[str, Any]
) -> None:
    await fetch(inbox, other)
    row = await inbox.subscription()
    assert row["id"] != ORDER
    assert not row["metadata"]
    [(kind, detail)] = await trouble(inbox)
    assert kind == "not_adopted"
    assert f"names the order {ORDER}" in detail


async def test_a_stripe_customer_of_another_customer_record_does_not_agree(inbox: Inbox) -> None:
    await inbox.order()
    await inbox.pool.execute("DELETE FROM subscriptions")
    await fetch(inbox, OURS)  # whose record is not the one that has cus_1 here
    assert (await inbox.subscription())["id"] != ORDER
    assert [kind for kind, _ in await trouble(inbox)] == ["not_adopted"]


async def test_an_id_that_is_taken_is_not_given_again(inbox: Inbox) -> None:
    taken = await inbox.order(customer="cus_2", session="cs_2")
    await fetch(inbox, OURS, metadata={**METADATA, "subscriptionId": str(taken)})
    row = await inbox.subscription()
    assert row["id"] != taken
    assert await trouble(inbox) == []


async def test_what_stripe_does_not_know_of_it_is_trouble(inbox: Inbox) -> None:
    many = ",".join(f"domain-{n}.example" for n in range(40))[:500]
    await fetch(inbox, OURS, metadata={**METADATA, "furtherDomains": many})
    [(kind, detail)] = await trouble(inbox)
    assert (kind, "cut short" in detail) == ("not_adopted", True)


async def test_an_order_with_a_trial_has_charges_that_are_trouble(inbox: Inbox) -> None:
    await fetch(inbox, OURS, status="trialing")
    [(kind, detail)] = await trouble(inbox)
    assert (kind, "pending invoice items" in detail) == ("not_adopted", True)


async def test_a_subscription_made_elsewhere_has_the_same_id_each_time(inbox: Inbox) -> None:
    ids = []
    for _ in range(2):
        await inbox.deliver("customer.subscription.created", made.subscription())
        row = await inbox.subscription()
        ids.append((row["id"], row["customer_id"]))
        await inbox.pool.execute("DELETE FROM customers; DELETE FROM stripe_events")
        await inbox.pool.execute("DELETE FROM billing_deleted_subscriptions")
    assert ids[0] == ids[1]
