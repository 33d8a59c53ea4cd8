"""For each kind of trouble or watched work: a world that shows it, and a near miss that does not.

A world is made of events, runs of the worker, answers of the services and operators' commands; time
passes by moving what is stored into the past.
"""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import transaction
from mpanel_billing.errors import StripeUnavailableError
from mpanel_billing.mirror.mirror import Mirror, request_refetch
from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.drift import find_drift, repair
from tests import stripe_objects as made
from tests.provisioning.conftest import ProvisioningSystem, items
from tests.provisioning.times import ago, finalized
from tests.stripe_objects import dispute

System: TypeAlias = ProvisioningSystem
World: TypeAlias = Callable[[System], Awaitable[None]]

TERM = {"billing_reason": "subscription_cycle"}
GRACE = Actor("cli:grace@panel")


@dataclass(frozen=True)
class Case:
    """A world that shows a kind, and one that almost does."""

    shows: World
    misses: World


async def pass_time(system: System, table: str, column: str, interval: str) -> None:
    """Move a moment of every row into the past."""
    await system.pool.execute(f"UPDATE {table} SET {column} = {column} - interval '{interval}'")


async def rest(system: System, minutes: int = 16) -> None:
    """Let the worker be idle for some minutes."""
    await pass_time(system, "provisioning_work", "updated_at", f"{minutes} minutes")


async def pay_first(system: System, age: str) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await pass_time(system, "provisioning_work", "created_at", age)


async def fail(system: System, times: int) -> None:
    """Let the hosting service fail to suspend or create an account, so many times."""
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    for _ in range(times):
        system.world.misbehave("hosting", "fail_before")
        await system.make_due()
        await system.run()


async def refuse(system: System) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    system.world.misbehave("hosting", "refuse")
    await system.run()


async def owe(system: System, **more: Any) -> None:
    """Let a term be unpaid for two days."""
    await system.sell()
    values = {"attempt_count": 1, **TERM, **finalized(ago(2)), **more}
    await system.deliver_invoice("open", "in_2", **values)
    await system.deliver_subscription("past_due")


async def leave_a_term_unpaid(system: System) -> None:
    """Let a later term be paid: by it, Stripe calls the subscription active."""
    await owe(system)
    await system.deliver_invoice("paid", "in_3", **TERM, **finalized(ago(1)))
    await system.deliver_subscription("active")


async def write_off_a_term(system: System) -> None:
    await leave_a_term_unpaid(system)
    await system.deliver_invoice("uncollectible", "in_2", **TERM, **finalized(ago(2)))


async def debit_a_bank_account(system: System) -> None:
    """Let a term wait for its first payment to arrive while an older one is unpaid."""
    await owe(system, **AGAIN)
    await system.deliver_invoice("open", "in_3", attempt_count=0, **TERM)


async def wait_for_a_bank_debit(system: System) -> None:
    """Let a term be tried, and its payment not have arrived yet: Stripe calls it active."""
    await owe(system)
    await system.deliver_subscription("active")


async def lose_before_termination(system: System) -> None:
    """Let an account be lost before it is terminated, which is refused, and then be looked for."""
    await system.sell("starter_monthly_usd", "addon-backups-daily_monthly_usd")
    system.world.accounts = [one for one in system.world.accounts if one.product_type == "hosting"]
    await system.deliver_subscription("active")
    assert (await system.run()).error is not None
    for drift in [one async for one in find_drift(system.pool, system.provisioning.drivers)]:
        assert await repair(system.pool, drift)
    assert (await system.run()).done


async def suspend_wrongly(system: System) -> None:
    """Let a suspended subscription be paid again, and the worker not do its work."""
    await system.sell()
    await system.deliver_subscription("paused")
    await system.run()
    assert (await system.service())["actual"] == "suspended"
    await system.deliver_subscription("active")


async def miss_a_service(system: System) -> None:
    await suspend_wrongly(system)
    await rest(system)


async def miss_a_service_for_a_moment(system: System) -> None:
    await suspend_wrongly(system)
    await rest(system, 14)


async def hold(system: System) -> None:
    id_ = await system.sell()
    await operations.suspend(system.pool, id_, reason="abuse", operator="grace")
    assert (await system.run()).done
    await rest(system)


async def be_held_for_a_pause(system: System) -> None:
    """Collect again within a pause: nothing is served until the next term."""
    id_ = await system.sell()
    await system.pool.execute(
        "INSERT INTO billing_pauses (subscription_id, since, until, begun_at)"
        " SELECT id, current_period_start, current_period_end, now() FROM subscriptions"
        " WHERE id = $1",
        id_,
    )
    await operations.retry(system.pool, id_)
    assert (await system.run()).done
    assert set(system.world.of(id_).values()) == {"suspended"}
    await rest(system)


async def be_suspended_for_a_dispute(system: System) -> None:
    id_ = await system.sell()
    policy = replace(system.provisioning.policy, suspend_disputed=True)
    system.provisioning = replace(system.provisioning, policy=policy)
    await dispute_a_payment(system)
    assert (await system.run()).done
    assert set(system.world.of(id_).values()) == {"suspended"}
    await rest(system)


async def dispute_a_payment(system: System) -> None:
    payment = made.invoice_payment("inpay_1", invoice="in_sub_1", payment_intent="pi_1")
    taken = dispute("du_1", "pi_1")
    for type_, about in (("invoice_payment.paid", payment), ("charge.dispute.created", taken)):
        await system.inbox.deliver(type_, about, created=system.stripe.next_second())


async def miss_a_disputed_service(system: System) -> None:
    """Suspend it wrongly, although a dispute suspends nothing here."""
    await system.sell()
    await dispute_a_payment(system)
    assert (await system.run()).done
    await suspend_wrongly(system)
    await rest(system)


async def end(system: System) -> None:
    await system.sell()
    await system.deliver_subscription("canceled", ended_at=ago(1), canceled_at=ago(1))


async def stay_active(system: System) -> None:
    await end(system)
    await rest(system)


async def be_suspended_in_time(system: System) -> None:
    await end(system)
    assert (await system.run()).done
    await rest(system)


async def be_kept_too_long(system: System) -> None:
    await be_suspended_in_time(system)
    for column in ("wake_at", "decided_until"):
        await system.pool.execute(
            f"UPDATE provisioning_work SET {column} = now() - interval '25 hours'"
        )


async def be_retried_before_its_time(system: System) -> None:
    """Let an operator retry what is suspended until its time, and the worker not run for a day."""
    await be_suspended_in_time(system)
    await operations.retry(system.pool, await system.id_of())
    await pass_time(system, "provisioning_work", "wake_at", "25 hours")
    await rest(system)


async def take_a_domain(system: System, owner: str) -> None:
    await system.pool.execute("INSERT INTO tenants (name, domain) VALUES ('Other', $1)", owner)
    await order_domain(system, "sub_1")
    assert (await system.run()).done


async def order_domain(system: System, id_: str) -> None:
    await system.deliver_subscription("active", id_=id_)
    await system.deliver_invoice("paid", f"in_{id_}", subscription=id_)
    await system.pool.execute(
        "UPDATE subscriptions SET metadata = $2 WHERE stripe_subscription_id = $1",
        id_,
        {"domainMode": "existing", "domainValue": "ada.example"},
    )


async def buy_a_domain_twice(system: System, status_of_first: str) -> None:
    for id_ in ("sub_1", "sub_2"):
        await order_domain(system, id_)
        assert (await system.run(id_)).done
    await system.deliver_subscription(status_of_first, ended_at=ago(0))


async def place(system: System, product: str) -> None:
    [item] = items("starter_monthly_usd")
    await system.sell()
    await system.pool.execute(
        "UPDATE products SET stripe_product_id = 'prod_starter', livemode = FALSE"
        " WHERE code = 'starter'"
    )
    price = {**item["price"], "id": "price_negotiated", "product": product}
    await system.deliver_items({**item, "price": price})


async def try_twice(system: System, key: str, status_of_second: str = "trialing") -> None:
    """Let one customer have a trial, and later another one."""
    first = {"trial_end": ago(20), "customer": "cus_1"}
    await system.deliver_subscription("active", "starter_monthly_usd", id_="sub_1", **first)
    await system.deliver_subscription(
        status_of_second, key, id_="sub_2", trial_end=ago(-10), customer="cus_1"
    )
    await system.pool.execute(
        "UPDATE subscriptions SET created_at = created_at - interval '30 days'"
        " WHERE stripe_subscription_id = 'sub_1'"
    )


async def schedule(system: System, status: str) -> None:
    await system.sell()
    await system.deliver_subscription(status, schedule="sub_sched_1", ended_at=ago(0))


async def turn_unpaid(system: System, status: str) -> None:
    """Let a subscription be unpaid, with its failed invoice in a state, and a later draft."""
    await system.sell()
    values = {"attempt_count": 4, **TERM, **finalized(ago(20))}
    await system.deliver_invoice(status, "in_2", **values)
    draft = {"auto_advance": False, "created": ago(1), **TERM}
    await system.deliver_invoice("draft", "in_3", **draft)
    await system.deliver_subscription("unpaid")


async def not_confirm(system: System, age: str) -> None:
    """Let Stripe be out of reach when a debt would suspend."""
    await owe(system, **finalized(ago(30)))
    system.stripe.objects = {}
    await system.run()
    await pass_time(system, "provisioning_work", "debt_unconfirmed_since", age)


async def draft(system: System, days: float, **more: Any) -> None:
    """Let a term of an active subscription be a draft."""
    await system.sell()
    subscription = {k: more.pop(k) for k in ("pause_collection",) if k in more}
    await system.deliver_invoice("draft", "in_2", **{"created": ago(days), **TERM, **more})
    await system.deliver_subscription(more.pop("state", "active"), **subscription)


FAILED = {"last_finalization_error": {"code": "customer_tax_location_invalid", "type": "x"}}


async def fail_to_finalize(system: System, status: str) -> None:
    await system.sell()
    invoice = made.invoice("in_2", status=status, auto_advance=True, **FAILED, **TERM)
    await system.inbox.deliver("invoice.finalization_failed", invoice)


async def delete_draft(system: System, reason: str) -> None:
    await system.sell()
    draft = made.invoice("in_2", status="draft", billing_reason=reason, created=ago(1))
    for type_ in ("invoice.created", "invoice.deleted"):
        await system.inbox.deliver(type_, draft, created=system.stripe.next_second())


async def fail_an_event(system: System) -> None:
    await system.inbox.deliver("customer.subscription.updated", made.subscription(status="dancing"))


async def wait(system: System, age: str) -> None:
    """Let an event be stored without being applied, as if the process had died."""
    await system.inbox.deliver("customer.subscription.updated", made.subscription())
    await system.pool.execute("UPDATE stripe_events SET status = 'received', applied_at = NULL")
    await pass_time(system, "stripe_events", "received_at", age)


async def refetch(system: System, age: str) -> None:
    """Let an object be fetched from a Stripe that is out of reach."""
    async with transaction(system.pool) as conn:
        await request_refetch(conn, "subscription", "sub_9", "a test")
    await Mirror(system.pool, system.stripe, livemode=False).refetch("sub_9")
    await pass_time(system, "stripe_refetches", "requested_at", age)


async def unlink(system: System, **more: Any) -> None:
    await system.inbox.deliver("invoice.paid", made.invoice(**more))


async def complete_session(system: System, *, arrives: bool) -> None:
    order = str(await system.inbox.order())
    await system.inbox.deliver("checkout.session.completed", made.session(order=order))
    if arrives:
        await system.deliver_subscription("active", metadata={"subscriptionId": order})


async def lose_an_answer(system: System, age: str, error: Exception | None) -> None:
    """Let a change be requested of Stripe; its outcome is unknown if there was no answer."""
    target = Target("subscription", str(await system.sell()))
    with pytest.raises(type(error)) if error else nullcontext():
        async with audit.attempt(system.pool, GRACE, "subscription.cancel", target):
            if error:
                raise error
    await pass_time(system, "billing_audit_unsettled", "since", age)


def of(world: Callable[..., Awaitable[None]], *args: Any, **named: Any) -> World:
    """Return a world with its arguments."""
    return lambda system: world(system, *args, **named)


UNANSWERED = StripeUnavailableError("gone")
AGAIN = {"next_payment_attempt": ago(-3)}
KEPT = {"pause_collection": {"behavior": "keep_as_draft"}, "auto_advance": False}

CASES: dict[str, Case] = {
    "not_provisioned": Case(of(pay_first, "6 minutes"), of(pay_first, "4 minutes")),
    "provisioning_failed": Case(refuse, of(fail, 4)),
    "provisioning_retried": Case(of(fail, 4), of(fail, 5)),
    "service_missing": Case(miss_a_service, miss_a_service_for_a_moment),
    "active_after_end": Case(stay_active, be_suspended_in_time),
    "work_failed": Case(of(take_a_domain, "ada.example"), of(take_a_domain, "grace.example")),
    "paid_twice": Case(of(buy_a_domain_twice, "active"), of(buy_a_domain_twice, "canceled")),
    "item_unplaced": Case(of(place, "prod_unknown"), of(place, "prod_starter")),
    "trial_twice": Case(of(try_twice, "starter_monthly_usd"), of(try_twice, "premium_monthly_usd")),
    "foreign_schedule": Case(of(schedule, "active"), of(schedule, "canceled")),
    "overdue": Case(owe, of(owe, **AGAIN)),
    "dunning": Case(of(owe, **AGAIN), owe),
    "nothing_owed": Case(of(turn_unpaid, "paid"), of(turn_unpaid, "open")),
    "finalization_failed": Case(of(fail_to_finalize, "draft"), of(fail_to_finalize, "open")),
    "draft_left": Case(of(draft, 4, auto_advance=False), of(draft, 4, **KEPT)),
    "invoice_deleted": Case(of(delete_draft, "subscription_cycle"), of(delete_draft, "manual")),
    "debt_unconfirmed": Case(of(not_confirm, "25 hours"), of(not_confirm, "23 hours")),
    "debt_unchecked": Case(of(not_confirm, "23 hours"), of(not_confirm, "25 hours")),
    "event_failed": Case(fail_an_event, of(wait, "14 minutes")),
    "event_waiting": Case(of(wait, "14 minutes"), of(wait, "16 minutes")),
    "refetch_failed": Case(of(refetch, "61 minutes"), of(refetch, "59 minutes")),
    "refetch_retried": Case(of(refetch, "59 minutes"), of(refetch, "61 minutes")),
    "invoice_unlinked": Case(unlink, of(unlink, parent=None)),
    "subscription_unmirrored": Case(
        of(complete_session, arrives=False), of(complete_session, arrives=True)
    ),
    "request_unfinished": Case(
        of(lose_an_answer, "16 minutes", UNANSWERED), of(lose_an_answer, "16 minutes", None)
    ),
}

ELSEWHERE = {
    "suspended_by_service": "test_suspended_by_service.py",
    "row_deleted": "tests/reconciliation/test_deleted.py",
    "not_adopted": "tests/reconciliation/test_restored_backup.py",
    "paid_after_end": "test_after_end.py",
    "open_after_end": "test_after_end.py",
    "drift": "tests/reconciliation/test_drift.py",
    "dispute_unanswered": "tests/subscriptions/test_disputes.py",
    "dispute_due": "tests/subscriptions/test_disputes.py",
    "dispute_under_review": "tests/subscriptions/test_disputes.py",
    "fraud_warning": "tests/subscriptions/test_disputes.py",
    "tax_id_unverified": "tests/checkout/test_taxes.py",
    "domain_stuck": "tests/provisioning/test_registrar.py",
    "domain_needs": "tests/provisioning/test_registrar.py",
    "domain_failed": "tests/provisioning/test_registrar.py",
    "domain_not_refunded": "tests/checkout/test_taken_domains.py",
    "domain_lost": "tests/provisioning/test_registrar.py",
    "domain_not_renewed": "tests/subscriptions/test_domain_renewals.py",
    "receiver_disabled": "tests/messages/test_sending.py",
    "not_delivered": "tests/messages/test_sending.py",
    "usage_not_billed": "tests/usage/test_life.py",
    "usage_unsent": "tests/usage/test_life.py",
    "usage_dropped": "tests/usage/test_reports.py",
    "domain_unproven": "test_domain_proofs.py",
    "server_left": "test_servers.py",
    "server_failing": "test_servers.py",
    "move_failed": "test_servers.py",
    "move_waits": "test_servers.py",
}
"""Kinds whose worlds need more than this system: where they are shown, and their near misses."""

FURTHER_MISSES: dict[str, list[World]] = {
    "service_missing": [hold, be_held_for_a_pause, be_suspended_for_a_dispute],
    "active_after_end": [be_retried_before_its_time],
    "work_failed": [refuse, of(fail, 5)],
    "provisioning_retried": [lose_before_termination],
    "request_unfinished": [of(lose_an_answer, "14 minutes", UNANSWERED)],
    "overdue": [write_off_a_term, debit_a_bank_account, wait_for_a_bank_debit],
    "draft_left": [
        of(draft, 2, auto_advance=False),
        of(draft, 4, auto_advance=False, billing_reason="manual"),
    ],
    "trial_twice": [of(try_twice, "starter_monthly_usd", "active")],
}
FURTHER_SHOWN: dict[str, list[World]] = {
    "service_missing": [miss_a_disputed_service],
    "active_after_end": [be_kept_too_long],
    "provisioning_failed": [of(fail, 5)],
    "event_failed": [of(wait, "16 minutes")],
    "overdue": [leave_a_term_unpaid],
    "draft_left": [of(draft, 4, auto_advance=True)],
}


async def kinds_shown(system: System) -> set[str]:
    rows = await system.pool.fetch(
        "SELECT trouble, detail FROM billing_trouble"
        " UNION ALL SELECT trouble, detail FROM billing_watch"
    )
    assert all(row["detail"] for row in rows), rows
    return {row["trouble"] for row in rows}


SHOWN = [
    *((kind, case.shows) for kind, case in CASES.items()),
    *((kind, world) for kind, worlds in FURTHER_SHOWN.items() for world in worlds),
]
MISSED = [
    *((kind, case.misses) for kind, case in CASES.items()),
    *((kind, world) for kind, worlds in FURTHER_MISSES.items() for world in worlds),
]


@pytest.mark.parametrize(("kind", "arrange"), SHOWN, ids=[kind for kind, _ in SHOWN])
async def test_a_world_shows_its_kind(system: System, kind: str, arrange: World) -> None:
    await arrange(system)
    assert kind in await kinds_shown(system)


@pytest.mark.parametrize(("kind", "arrange"), MISSED, ids=[kind for kind, _ in MISSED])
async def test_a_near_miss_does_not(system: System, kind: str, arrange: World) -> None:
    await arrange(system)
    assert kind not in await kinds_shown(system)


async def test_there_is_a_world_for_each_kind(system: System) -> None:
    rows = await system.pool.fetch("SELECT kind FROM billing_trouble_kinds")
    assert {row["kind"] for row in rows} == {*CASES, *ELSEWHERE}


async def test_what_waits_for_payment_names_the_draft(system: System) -> None:
    await turn_unpaid(system, "paid")
    [row] = [row for row in await system.trouble() if row["trouble"] == "nothing_owed"]
    assert "the draft in_3 waits to be collected" in row["detail"]
