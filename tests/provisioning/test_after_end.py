"""After the end of a subscription: late payments, and invoices that are still open."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.errors import ConflictError
from mpanel_billing.provisioning.late_payments import KeptPayment, keep_payments
from tests import stripe_objects as made
from tests.commands import run
from tests.provisioning.conftest import ProvisioningSystem
from tests.stripe_objects import credit_note


def days_ago(days: float) -> int:
    return int((datetime.now(UTC) - timedelta(days=days)).timestamp())


def invoice_of(created: float, paid: float | None, **more: Any) -> dict[str, Any]:
    """Return the values of a renewal's invoice: made and paid so many days ago."""
    moments = {"finalized_at": days_ago(created), "paid_at": paid and days_ago(paid)}
    return {
        "created": days_ago(created),
        "status_transitions": moments,
        "billing_reason": "subscription_cycle",
        **more,
    }


async def end(system: ProvisioningSystem, days: float) -> None:
    at = days_ago(days)
    await system.deliver_subscription("canceled", ended_at=at, canceled_at=at)


async def refund(system: ProvisioningSystem, id_: str, amount: int) -> None:
    """Deliver the event of a refund of the late payment."""
    refunded = {
        "id": id_,
        "object": "refund",
        "livemode": False,
        "payment_intent": "pi_late",
        "amount": amount,
        "currency": "usd",
        "status": "succeeded",
        "created": days_ago(0),
    }
    await system.inbox.deliver("refund.created", refunded, created=system.stripe.next_second())


async def pay_late(system: ProvisioningSystem) -> None:
    """Pay an invoice that was open when the subscription ended, 31 days ago."""
    await system.deliver_invoice("open", "in_2", attempt_count=4, **invoice_of(40, None))
    await end(system, 31)
    await system.deliver_invoice("paid", "in_2", **invoice_of(40, 1))
    payment = made.invoice_payment("inpay_2", invoice="in_2", payment_intent="pi_late")
    await system.inbox.deliver("invoice_payment.paid", payment, created=system.stripe.next_second())


async def test_what_was_paid_after_the_end_is_trouble_and_keeps_the_accounts(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    await pay_late(system)
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended"}
    [trouble] = await system.trouble()
    assert trouble["trouble"] == "paid_after_end"
    assert "in_2 was paid after the subscription had ended: $7.99;" in trouble["detail"]


async def test_a_full_refund_ends_the_trouble_and_the_accounts(system: ProvisioningSystem) -> None:
    id_ = await system.sell()
    await pay_late(system)
    await system.run()
    before = await system.work()
    await refund(system, "re_1", 300)
    [trouble] = await system.trouble()
    assert "ended: $4.99;" in trouble["detail"]
    assert (await system.work())["version"] > before["version"]
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended"}
    await refund(system, "re_2", 499)
    assert await system.trouble() == []
    assert (await system.run()).done
    assert system.world.of(id_) == {}


async def test_what_is_credited_is_given_back_too(system: ProvisioningSystem) -> None:
    """To the customer's balance, or by hand: the host does not keep it."""
    await system.sell()
    await pay_late(system)
    for amount, out_of_band in ((300, 0), (499, 499)):
        [trouble] = await system.trouble()
        assert f"ended: {'$7.99' if amount == 300 else '$4.99'};" in trouble["detail"]
        created = system.stripe.next_second()
        note = credit_note(
            f"cn_{amount}",
            "in_2",
            total=amount,
            post_payment_amount=amount,
            out_of_band_amount=out_of_band,
            created=created,
        )
        await system.inbox.deliver("credit_note.created", note, created=created)
    assert await system.trouble() == []


async def test_a_refund_that_comes_before_its_payment_counts(system: ProvisioningSystem) -> None:
    await system.sell()
    await refund(system, "re_1", 799)
    await pay_late(system)
    assert await system.trouble() == []


async def test_an_event_of_a_late_payment_triggers_work(system: ProvisioningSystem) -> None:
    await system.sell()
    await end(system, 31)
    await system.deliver_invoice("open", "in_2", attempt_count=4, **invoice_of(40, None))
    before = await system.work()
    await system.deliver_invoice("paid", "in_2", **invoice_of(40, 1))
    after = await system.work()
    assert (before["inputs"]["paidAfterEnd"], after["inputs"]["paidAfterEnd"]) == (
        None,
        [{"invoice": "in_2", "amount": 799, "currency": "usd"}],
    )
    assert after["version"] > before["version"]


@pytest.mark.parametrize(
    "paid",
    [
        pytest.param(invoice_of(40, 32), id="before the end"),
        pytest.param(invoice_of(30.9, 1), id="for what was used before, billed at the end"),
        pytest.param(invoice_of(40, 1, billing_reason="manual"), id="a one-off invoice"),
        pytest.param(invoice_of(40, 1, total=0), id="nothing"),
    ],
)
async def test_what_was_not_paid_after_the_end_is_no_trouble(
    system: ProvisioningSystem, paid: dict[str, Any]
) -> None:
    id_ = await system.sell()
    await end(system, 31)
    await system.deliver_invoice("paid", "in_2", **paid)
    assert await system.trouble() == []
    assert (await system.run()).done
    assert system.world.of(id_) == {}


async def keep(system: ProvisioningSystem) -> list[KeptPayment]:
    by = Actor("cli:grace@here")
    return list(
        await keep_payments(
            system.pool, await system.id_of(), reason="a credit", operator="grace", by=by
        )
    )


async def test_a_payment_that_an_operator_settles_ends_the_trouble_and_the_accounts(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    await pay_late(system)
    await refund(system, "re_1", 300)
    assert (await system.run()).done
    assert await keep(system) == [KeptPayment("in_2", 499, "usd")]
    assert await system.trouble() == []
    assert (await system.run()).done
    assert system.world.of(id_) == {}
    row = await system.inbox.row("SELECT amount, reason, kept_by FROM billing_kept_payments")
    assert tuple(row) == (499, "a credit", "grace")
    entry = await system.inbox.row("SELECT actor, action, details FROM billing_audit_log")
    assert (entry["actor"], entry["action"]) == ("cli:grace@here", "subscription.keep_payment")
    assert entry["details"] == {
        "reason": "a credit",
        "operator": "grace",
        "payments": [{"stripe_invoice_id": "in_2", "amount": 499, "currency": "usd"}],
    }


async def test_a_payment_is_settled_once_and_a_later_one_is_trouble_again(
    system: ProvisioningSystem,
) -> None:
    await system.sell()
    await pay_late(system)
    outcomes = await asyncio.gather(keep(system), keep(system), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {list, ConflictError}
    await system.deliver_invoice("paid", "in_3", **invoice_of(39, 1))
    [trouble] = await system.trouble()
    assert trouble["trouble"] == "paid_after_end"
    assert "in_3 was paid" in trouble["detail"]
    assert "in_2" not in trouble["detail"]
    assert await keep(system) == [KeptPayment("in_3", 799, "usd")]
    assert await system.trouble() == []


async def test_what_was_settled_stays_settled_whatever_event_comes_next(
    system: ProvisioningSystem,
) -> None:
    await system.sell()
    await pay_late(system)
    await keep(system)
    await system.deliver_invoice("paid", "in_2", **invoice_of(40, 1), number="R-2")
    await refund(system, "re_1", 300)
    assert await system.trouble() == []


async def test_the_command_settles_a_late_payment(
    system: ProvisioningSystem, database_url: str
) -> None:
    await system.sell()
    words = ("provision", "keep-payment", "sub_1", "--reason", "refunded by bank transfer")
    refused = await run(database_url, *words)
    assert refused[0] == 1
    await pay_late(system)
    assert await run(database_url, *words) == (0, "settled $7.99 of in_2\n")
    assert await system.trouble() == []
