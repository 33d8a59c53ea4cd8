"""What events change: rows are linked in any order, never go back, and stay with their customer."""

from itertools import permutations
from typing import Any

import pytest

from tests import stripe_objects as made
from tests.inbox import Inbox

T = 1_790_000_000


async def test_an_event_takes_effect_once(inbox: Inbox) -> None:
    event = made.event("customer.subscription.created", made.subscription())
    assert await inbox.receive(event) == "applied"
    assert await inbox.receive(event) == "duplicate"
    assert await inbox.pool.fetchval("SELECT count(*) FROM stripe_events") == 1
    assert await inbox.pool.fetchval("SELECT version FROM provisioning_work") == 1


async def test_an_older_snapshot_changes_no_row_and_no_item(inbox: Inbox) -> None:
    new, old = made.subscription(amount=999), made.subscription(amount=799, price="price_0")
    await inbox.deliver("customer.subscription.updated", new, created=T + 5)
    before = await inbox.pool.fetch("SELECT * FROM subscription_items")
    row = await inbox.subscription()
    assert await inbox.deliver("customer.subscription.updated", old, created=T) == "stale"
    assert await inbox.subscription() == row
    assert await inbox.pool.fetch("SELECT * FROM subscription_items") == before


async def test_only_a_newer_snapshot_removes_an_item(inbox: Inbox) -> None:
    item = made.subscription()["items"]["data"][0]
    both = made.subscription(items=[item, item | {"id": "si_2"}])
    count = "SELECT count(*) FROM subscription_items"
    await inbox.deliver("customer.subscription.updated", both, created=T + 5)
    await inbox.deliver("customer.subscription.updated", made.subscription(), created=T)
    assert await inbox.pool.fetchval(count) == 2
    await inbox.deliver("customer.subscription.updated", made.subscription(), created=T + 6)
    assert await inbox.pool.fetchval(count) == 1


async def test_an_incomplete_list_of_items_removes_none_and_is_fetched(inbox: Inbox) -> None:
    item = made.subscription()["items"]["data"][0]
    await inbox.deliver(
        "customer.subscription.updated",
        made.subscription(items=[item, item | {"id": "si_2"}]),
        created=T,
    )
    some = made.subscription()
    some["items"]["has_more"] = True
    await inbox.deliver("customer.subscription.updated", some, created=T + 1)
    assert await inbox.pool.fetchval("SELECT count(*) FROM subscription_items") == 2
    request = await inbox.row("SELECT reason FROM stripe_refetches WHERE object_id = 'sub_1'")
    assert "more items" in request["reason"]


@pytest.mark.parametrize("known", [False, True])
async def test_lines_that_an_event_leaves_out_are_fetched(inbox: Inbox, known: bool) -> None:
    if known:
        await inbox.deliver("invoice.created", made.invoice(), created=T)
    some = made.invoice()
    some["lines"] = some["lines"] | {"has_more": True}
    await inbox.deliver("invoice.updated", some, created=T + 1)
    request = await inbox.row("SELECT reason FROM stripe_refetches WHERE object_id = 'in_1'")
    assert "more lines" in request["reason"]


ORDER_EVENTS = (
    ("invoice.paid", "invoice"),
    ("invoice_payment.paid", "payment"),
    ("customer.subscription.created", "subscription"),
    ("checkout.session.completed", "session"),
)


@pytest.mark.parametrize("sequence", list(permutations(ORDER_EVENTS)), ids=str)
async def test_the_events_of_an_order_lead_to_the_same_rows_in_any_order(
    inbox: Inbox, sequence: tuple[tuple[str, str], ...]
) -> None:
    order = await inbox.order()
    metadata = {"subscriptionId": str(order)}
    objects: dict[str, dict[str, Any]] = {
        "invoice": made.invoice(),
        "payment": made.invoice_payment(),
        "subscription": made.subscription(metadata=metadata),
        "session": made.session(order=str(order)),
    }
    for type_, name in sequence:
        assert await inbox.deliver(type_, objects[name]) == "applied"
    row = await inbox.subscription()
    assert row["id"] == order
    assert (row["status"], row["stripe_status"]) == ("pending", "active")
    assert row["stripe_payment_intent_id"] == "pi_1"
    assert row["initial_payment_settled"]
    invoice = await inbox.row("SELECT * FROM invoices")
    assert invoice["subscription_id"] == order
    assert invoice["stripe_payment_intent_id"] == "pi_1"
    assert invoice["customer_id"] == row["customer_id"]
    assert await inbox.pool.fetchval("SELECT count(*) FROM customers") == 1
    assert await inbox.pool.fetchval("SELECT count(*) FROM stripe_refetches") == 0


async def test_an_invoice_before_its_subscription_is_visible_as_trouble(inbox: Inbox) -> None:
    await inbox.deliver("invoice.paid", made.invoice())
    trouble = await inbox.row("SELECT * FROM billing_trouble")
    assert (trouble["trouble"], trouble["object_id"]) == ("invoice_unlinked", "in_1")
    await inbox.deliver("customer.subscription.created", made.subscription())
    left = await inbox.row("SELECT trouble FROM billing_trouble")
    assert left["trouble"] == "item_unplaced", "its price is not in the catalogue"


async def test_a_subscription_created_elsewhere_inserts_its_customer_and_refetches_it(
    inbox: Inbox,
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    row = await inbox.subscription()
    customer = await inbox.row("SELECT * FROM customers")
    assert row["customer_id"] == customer["id"]
    assert customer["stripe_customer_id"] == "cus_1"
    request = await inbox.row("SELECT * FROM stripe_refetches")
    assert (request["object_type"], request["object_id"]) == ("customer", "cus_1")
    await inbox.deliver("customer.updated", made_customer("cus_1", "grace@example.com"))
    assert (await inbox.row("SELECT email FROM customers"))["email"] == "grace@example.com"


def made_customer(id_: str, email: str | None) -> dict[str, Any]:
    return {"id": id_, "object": "customer", "livemode": False, "email": email, "name": "Grace"}


async def test_a_customer_that_arrives_before_its_subscription_is_linked_later(
    inbox: Inbox,
) -> None:
    await inbox.deliver("customer.created", made_customer("cus_1", "grace@example.com"))
    assert await inbox.pool.fetchval("SELECT count(*) FROM customers") == 0
    await inbox.deliver("customer.subscription.created", made.subscription())
    customer = await inbox.row("SELECT * FROM customers")
    assert customer["email"] == "grace@example.com"
    known = await inbox.row("SELECT * FROM stripe_customers")
    assert known["customer_id"] == customer["id"]


async def test_two_subscriptions_of_one_unknown_customer_share_one_row(inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription("sub_1"))
    await inbox.deliver("customer.subscription.created", made.subscription("sub_2"))
    assert await inbox.pool.fetchval("SELECT count(*) FROM customers") == 1


async def test_metadata_cannot_move_the_order_of_another_customer(inbox: Inbox) -> None:
    order = await inbox.order(customer="cus_owner")
    thief = made.subscription(customer="cus_thief", metadata={"subscriptionId": str(order)})
    await inbox.deliver("customer.subscription.created", thief)
    owned = await inbox.row("SELECT * FROM subscriptions WHERE id = $1", order)
    assert owned["stripe_subscription_id"] is None
    assert owned["status"] == "provisional"
    assert (await inbox.subscription())["id"] != order


async def test_metadata_cannot_move_an_order_that_has_its_subscription(inbox: Inbox) -> None:
    order = await inbox.order()
    metadata = {"subscriptionId": str(order)}
    await inbox.deliver("customer.subscription.created", made.subscription(metadata=metadata))
    await inbox.deliver(
        "customer.subscription.created", made.subscription("sub_2", metadata=metadata)
    )
    assert (await inbox.subscription("sub_1"))["id"] == order
    assert (await inbox.subscription("sub_2"))["id"] != order


async def test_a_session_cannot_take_a_subscription_that_another_row_has(inbox: Inbox) -> None:
    order = await inbox.order()
    await inbox.deliver("customer.subscription.created", made.subscription())
    await inbox.deliver("checkout.session.completed", made.session(order=str(order)))
    assert (await inbox.subscription())["id"] != order


async def test_an_expired_session_expires_its_order_unless_it_was_paid(inbox: Inbox) -> None:
    order = await inbox.order()
    expired = made.session(
        status="expired", payment_status="unpaid", subscription=None, order=str(order)
    )
    await inbox.deliver("checkout.session.expired", expired)
    row = await inbox.row("SELECT status FROM subscriptions WHERE id = $1", order)
    assert row["status"] == "expired"


async def test_a_recovered_session_resumes_the_expired_order(inbox: Inbox) -> None:
    order = await inbox.order()
    old = made.session(
        status="expired", payment_status="unpaid", subscription=None, order=str(order)
    )
    new = made.session("cs_test_2", order=str(order), recovered_from="cs_test_1")
    bought = made.subscription(metadata={"subscriptionId": str(order)})
    events = [
        made.event("checkout.session.expired", old, created=T),
        made.event("checkout.session.completed", new, created=T + 9),
        made.event("customer.subscription.created", bought, created=T + 9),
        made.event("invoice.paid", made.invoice(), created=T + 9),
    ]
    for event in events:
        assert await inbox.receive(event) == "applied"
    row = await inbox.subscription()
    assert (row["id"], row["status"]) == (order, "pending")
    assert row["checkout_session_id"] == "cs_test_2"
    sessions = await inbox.pool.fetch("SELECT * FROM checkout_sessions ORDER BY attempt")
    assert [s["stripe_session_id"] for s in sessions] == ["cs_test_1", "cs_test_2"]


async def test_a_session_whose_creation_was_never_stored_finds_its_order(inbox: Inbox) -> None:
    order = await inbox.order(session=None)
    await inbox.deliver("checkout.session.completed", made.session(order=str(order)))
    row = await inbox.subscription()
    assert (row["id"], row["checkout_session_id"]) == (order, "cs_test_1")
    assert (await inbox.row("SELECT status FROM checkout_sessions"))["status"] == "complete"


async def test_a_completed_session_alone_requests_its_subscription(inbox: Inbox) -> None:
    order = await inbox.order()
    await inbox.deliver("checkout.session.completed", made.session(order=str(order)))
    request = await inbox.row("SELECT * FROM stripe_refetches")
    assert (request["object_type"], request["object_id"]) == ("subscription", "sub_1")


async def test_a_late_update_never_brings_a_cancelled_subscription_back(inbox: Inbox) -> None:
    ended = made.subscription(status="canceled", ended_at=T + 3)
    await inbox.deliver("customer.subscription.created", made.subscription(), created=T)
    await inbox.deliver("customer.subscription.deleted", ended, created=T + 3)
    same_second = await inbox.deliver(
        "customer.subscription.updated", made.subscription(), created=T + 3
    )
    assert same_second == "stale"
    assert (await inbox.subscription())["status"] == "cancelled"


async def test_a_trial_is_settled_by_its_free_invoice(inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription(status="trialing"))
    assert (await inbox.subscription())["status"] == "provisional"
    await inbox.deliver("invoice.paid", made.invoice(total=0))
    assert (await inbox.subscription())["status"] == "pending"


async def test_only_a_relevant_change_enqueues_a_job(inbox: Inbox) -> None:
    jobs = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'provision'"
    await inbox.deliver("customer.subscription.created", made.subscription(), created=T)
    assert await inbox.pool.fetchval(jobs) == 0, "before it is paid, there is nothing to do"
    await inbox.deliver("invoice.paid", made.invoice(), created=T)
    assert await inbox.pool.fetchval(jobs) == 1
    renewed = made.subscription(start=T + 100, end=T + 200)
    await inbox.deliver("customer.subscription.updated", renewed, created=T + 100)
    await inbox.deliver("invoice.paid", made.invoice("in_2"), created=T + 100)
    assert await inbox.pool.fetchval(jobs) == 1
    await inbox.deliver(
        "customer.subscription.updated", made.subscription(status="past_due"), created=T + 300
    )
    assert await inbox.pool.fetchval(jobs) == 2


async def test_there_is_nothing_to_do_for_a_subscription_that_waits_for_its_first_payment(
    inbox: Inbox,
) -> None:
    left = "SELECT version - done_version AS undone, wake_at FROM provisioning_work"
    for status in ("incomplete", "active"):
        subscription = made.subscription(status=status)
        created = T + (status == "active")
        await inbox.deliver("customer.subscription.updated", subscription, created=created)
        assert tuple(await inbox.row(left)) == (0, None)
    await inbox.deliver("invoice.paid", made.invoice(), created=T)
    assert (await inbox.row(left))["undone"] == 1


@pytest.mark.parametrize("status", ["trialing", "past_due", "paused"])
async def test_what_may_concern_others_before_the_first_payment_is_run(
    inbox: Inbox, status: str
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription(status=status))
    assert await inbox.pool.fetchval("SELECT count(*) FROM pgqueuer") >= 1
    assert await inbox.pool.fetchval("SELECT version - done_version FROM provisioning_work") == 1


async def test_a_row_that_stripe_bills_is_never_due_to_mpanels_biller(inbox: Inbox) -> None:
    for status in ("active", "past_due", "canceled"):
        await inbox.deliver(
            "customer.subscription.updated", made.subscription(f"sub_{status}", status=status)
        )
    await inbox.pool.execute("UPDATE subscriptions SET status = 'active'")
    due = await inbox.pool.fetch(
        "SELECT id FROM subscriptions WHERE status = 'active' AND auto_renew"
        " AND next_billing_date <= CURRENT_DATE"
    )
    assert due == []


@pytest.mark.parametrize(
    ("currency", "amount", "price"),
    [("usd", 799, "7.99"), ("jpy", 500, "500.00"), ("kwd", 1230, "1.23")],
)
async def test_mpanels_decimals_are_exact_in_every_currency(
    inbox: Inbox, currency: str, amount: int, price: str
) -> None:
    subscription = made.subscription(amount=amount, currency=currency)
    subscription["items"]["data"][0]["price"]["currency"] = currency
    await inbox.deliver("customer.subscription.created", subscription)
    row = await inbox.subscription()
    assert (row["amount"], str(row["price"])) == (amount, price)
