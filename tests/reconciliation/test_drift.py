"""Differences are reported by field, and repaired."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests import stripe_objects as made
from tests.commands import run
from tests.inbox import Inbox
from tests.reconciliation.conftest import Reconciler
from tests.service import Service

TAMPERED = {
    "other values": {
        "UPDATE subscriptions SET stripe_status = 'past_due', amount = 1, cancel_at = now()": {
            ("subscription", "stripe_status"),
            ("subscription", "amount"),
            ("subscription", "cancel_at"),
        },
        "UPDATE subscription_items SET quantity = 7, stripe_price_id = 'price_x'": {
            ("subscription", "items.*.quantity"),
            ("subscription", "items.*.stripe_price_id"),
        },
        "UPDATE invoices SET amount_paid = 5, stripe_status = 'open'": {
            ("invoice", "stripe_status"),
            ("invoice", "amount_paid"),
        },
        "UPDATE stripe_customers SET email = 'eve@example.com'": {("customer", "email")},
        "UPDATE invoice_payments SET amount_paid = 5": {("invoice_payment", "amount_paid")},
    },
    "other items": {
        "UPDATE subscription_items SET stripe_subscription_item_id = 'si_' || id": {
            ("subscription", "items.*"),
        },
    },
    "missing rows": {
        "DELETE FROM invoices": {("invoice", "object")},
        "DELETE FROM invoice_payments": {("invoice_payment", "object")},
        "UPDATE stripe_customers SET stripe_as_of = NULL": {("customer", "object")},
    },
    "a missing subscription": {
        "ALTER TABLE subscriptions DISABLE TRIGGER billing_keep_deleted_subscription": set(),
        "DELETE FROM subscriptions": {("subscription", "object")},
    },
}
"""Statements that change the mirror, and what then differs."""


def plain(field: str) -> str:
    """Replace an item's id in a field's name by *."""
    first, *rest = field.split(".")
    return ".".join([first, "*", *rest[1:]]) if rest else first


async def mirror(service: Service) -> dict[str, list[Any]]:
    """Return the mirrored rows without the time of reading and without our own ids."""
    return {
        "subscriptions": await service.pool.fetch(
            "SELECT stripe_subscription_id, status, stripe_status, amount, price, cancel_at,"
            " current_period_end, stripe_payment_intent_id FROM subscriptions ORDER BY 1"
        ),
        "items": await service.pool.fetch(
            "SELECT stripe_subscription_item_id, price_id, stripe_price_id, quantity"
            " FROM subscription_items ORDER BY 1"
        ),
        "invoices": await service.pool.fetch(
            "SELECT stripe_invoice_id, status, stripe_status, amount_paid, amount_due, total,"
            " stripe_payment_intent_id FROM invoices ORDER BY 1"
        ),
        "payments": await service.pool.fetch(
            "SELECT stripe_invoice_payment_id, amount_paid, status FROM invoice_payments ORDER BY 1"
        ),
        "customers": await service.pool.fetch(
            "SELECT id, email, name, deleted, stripe_as_of IS NULL FROM stripe_customers ORDER BY 1"
        ),
    }


@pytest.fixture
async def bought(service: Service, order_a: dict[str, Any]) -> Service:
    await service.buy(order_a)
    return service


@pytest.mark.parametrize("tampering", TAMPERED.values(), ids=TAMPERED)
async def test_differences_are_reported_then_repaired(
    bought: Service, reconciler: Reconciler, tampering: Mapping[str, set[tuple[str, str]]]
) -> None:
    before = await mirror(bought)
    for statement in tampering:
        await bought.pool.execute(statement)

    report = await reconciler.run(dry_run=True)
    assert {(type_, plain(field)) for type_, field in report.fields()} == set.union(
        *tampering.values()
    )
    assert report.figures["outcome"] == "drift"
    assert await mirror(bought) != before

    repaired = await reconciler.run()
    assert repaired.fields() == report.fields()
    assert repaired.figures["outcome"] == "repaired"
    after = await mirror(bought)
    assert after == before

    again = await reconciler.run()
    assert (again.figures["outcome"], again.drift) == ("clean", [])
    assert again.figures["objects"] >= 4
    assert again.figures["events"] > 4


async def test_objects_missing_in_stripe_are_reported_and_kept(
    bought: Service, reconciler: Reconciler, inbox: Inbox
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription("sub_ghost"))
    await inbox.deliver("invoice.paid", made.invoice("in_ghost", subscription="sub_ghost"))
    result = await reconciler.run()
    assert {(d.object_id, d.field, d.ours, d.found, d.repaired) for d in result.drift} == {
        ("sub_ghost", "object", "active", None, False),
        ("in_ghost", "object", "paid", None, False),
    }
    assert result.figures["outcome"] == "drift"
    trouble = await bought.pool.fetch(
        "SELECT object_id, detail FROM billing_trouble WHERE trouble = 'drift' ORDER BY 1"
    )
    assert [tuple(row) for row in trouble] == [
        ("in_ghost", "invoice, object: ours paid, found missing"),
        ("sub_ghost", "subscription, object: ours active, found missing"),
    ]
    assert (await inbox.subscription("sub_ghost"))["stripe_status"] == "active"


async def test_trouble_ends_when_a_later_run_is_clean(
    bought: Service, reconciler: Reconciler, inbox: Inbox
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription("sub_ghost"))
    await reconciler.run()
    await bought.pool.execute(
        "DELETE FROM subscriptions WHERE stripe_subscription_id = 'sub_ghost'"
    )
    assert (await reconciler.run()).figures["outcome"] == "clean"
    assert await bought.pool.fetch("SELECT * FROM billing_trouble WHERE trouble = 'drift'") == []


async def test_objects_of_the_other_mode_are_ignored(
    bought: Service, reconciler: Reconciler, inbox: Inbox
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription("sub_live"))
    await bought.pool.execute("UPDATE subscriptions SET livemode = TRUE WHERE amount = 799")
    result = await reconciler.run()
    assert "sub_live" not in {d.object_id for d in result.drift}


async def test_a_deleted_draft_invoice_is_marked_deleted(
    bought: Service, reconciler: Reconciler
) -> None:
    row = await bought.row("SELECT stripe_customer_id FROM subscriptions")
    stripe = reconciler.context.mirror.stripe
    api = stripe.client.v1
    draft = await api.invoices.create_async({"customer": row["stripe_customer_id"]})
    await bought.stripe.wait_idle()
    await bought.stripe.set_delivery(drop=1.0)
    await api.invoices.delete_async(draft.id)
    lost = await reconciler.run()
    assert [(d.found, d.repaired) for d in lost.drift] == [("invoice.deleted", True)]
    # as if the event were too old to be listed
    await bought.pool.execute(
        "UPDATE invoices SET stripe_status = 'draft', status = 'draft'"
        " WHERE stripe_invoice_id = $1",
        draft.id,
    )
    result = await reconciler.run()
    assert [(d.object_id, d.ours, d.found, d.repaired) for d in result.drift] == [
        (draft.id, "draft", None, True)
    ]
    deleted_draft = await bought.row(
        "SELECT * FROM invoices WHERE stripe_invoice_id = $1", draft.id
    )
    assert (deleted_draft["stripe_status"], deleted_draft["status"]) == ("deleted", "cancelled")
    assert (await reconciler.run()).figures["outcome"] == "clean"


async def test_a_missed_customer_deletion_is_repaired(
    bought: Service, reconciler: Reconciler
) -> None:
    row = await bought.row("SELECT stripe_customer_id FROM subscriptions")
    await bought.stripe.set_delivery(drop=1.0)
    api = reconciler.context.mirror.stripe.client.v1
    await api.customers.delete_async(row["stripe_customer_id"])
    result = await reconciler.run()
    assert result.figures["outcome"] == "repaired"
    assert (await bought.row("SELECT stripe_status FROM subscriptions"))[0] == "canceled"
    assert (await bought.row("SELECT deleted FROM stripe_customers"))["deleted"]
    assert (await reconciler.run()).figures["outcome"] == "clean"


async def test_a_missed_refund_is_repaired(bought: Service, reconciler: Reconciler) -> None:
    row = await bought.row("SELECT stripe_payment_intent_id FROM invoice_payments")
    await bought.stripe.set_delivery(drop=1.0)
    api = reconciler.context.mirror.stripe.client.v1
    await api.refunds.create_async({"payment_intent": row[0], "amount": 100})
    report = await reconciler.run(dry_run=True)
    assert ("refund", "object") in report.fields()
    assert (await reconciler.run()).figures["outcome"] == "repaired"
    refund = await bought.row("SELECT amount, status FROM stripe_refunds")
    assert tuple(refund) == (100, "succeeded")
    await bought.pool.execute("UPDATE stripe_refunds SET amount = 1")
    assert (await reconciler.run()).fields() == {("refund", "amount")}
    assert (await reconciler.run()).figures["outcome"] == "clean"


async def test_emails_are_masked_in_the_report(bought: Service, reconciler: Reconciler) -> None:
    await bought.pool.execute("UPDATE stripe_customers SET email = 'eve.adams@example.com'")
    (drift,) = (await reconciler.run(dry_run=True)).drift
    assert (drift.ours, drift.found) == ("e***@example.com", "a***@example.com")


async def test_the_command_exits_with_2_on_drift_and_0_after_repair(
    bought: Service, database_url: str
) -> None:
    async def reconcile(*arguments: str) -> tuple[int, str]:
        return await run(
            database_url,
            "reconcile",
            *arguments,
            STRIPE_API_BASE=bought.sandbox.url,
            RECONCILE_REQUESTS_PER_SECOND="100",
        )

    await bought.pool.execute("UPDATE subscriptions SET amount = 1")
    status, out = await reconcile("--dry-run")
    assert status == 2, out
    assert "amount" in out
    assert "ours 1, Stripe's" in out
    assert "1 differed, 0 repaired" in out
    id_ = (await bought.row("SELECT stripe_subscription_id FROM subscriptions"))[0]
    status, out = await reconcile("--dry-run", "--json", "--object", id_)
    assert status == 2, out
    report = json.loads(out)
    assert (report["run"]["drift"], report["run"]["repaired"]) == (1, 0)
    (drift,) = report["drift"]
    assert (drift["object_id"], drift["field"], drift["ours"]) == (id_, "amount", "1")
    status, out = await reconcile()
    assert status == 0, out
    assert "1 differed, 1 repaired" in out
    actor = await bought.row("SELECT actor, action FROM billing_audit_log")
    assert actor["action"] == "reconcile.start"
    assert actor["actor"].startswith("cli:")
