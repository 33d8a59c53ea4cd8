"""Stripe is asked about a debt before it suspends: what it may answer, and what comes between."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mpanel_billing.errors import StripeBusyError, StripeError, StripeObjectMissingError
from mpanel_billing.provisioning import leniency
from mpanel_billing.provisioning.converge import provision_tenant_for_subscription
from mpanel_billing.provisioning.repository import money
from mpanel_billing.provisioning.stripe_turns import REQUESTS_PER_SECOND
from mpanel_billing.stripe_gateway.objects import Fetched, Resource
from tests import stripe_objects as made
from tests.provisioning.conftest import GRACE, ProvisioningSystem, items
from tests.provisioning.latest_stripe import LatestStripe
from tests.provisioning.times import DAY, ago, finalized, unix

OVERDUE = GRACE.days + 1


async def owe(system: ProvisioningSystem, id_: str = "sub_1") -> None:
    """Let an invoice be unpaid for longer than grace."""
    await system.deliver_invoice(
        "open", f"in_owed_{id_}", subscription=id_, attempt_count=1, **finalized(ago(OVERDUE))
    )
    await system.deliver_subscription("past_due", id_=id_)


async def pay(system: ProvisioningSystem) -> None:
    await system.deliver_invoice("paid", "in_owed_sub_1", attempt_count=1, **finalized(ago(8)))
    await system.deliver_subscription("active")


async def test_a_debt_that_is_paid_while_stripe_cannot_be_asked_is_no_trouble(
    system: ProvisioningSystem,
) -> None:
    subscription = await system.sell()
    await owe(system)
    known, system.stripe.objects = system.stripe.objects, {}
    assert not (await system.run()).done
    system.stripe.objects = known
    await pay(system)
    assert (await system.run()).done
    assert system.world.of(subscription) == {"hosting": "active"}
    work = await system.work()
    assert (work["debt_unconfirmed_since"], work["debt_error"]) == (None, None)
    await system.pool.execute(
        "UPDATE provisioning_work SET debt_unconfirmed_since = now() - interval '25 hours' "
        "WHERE debt_unconfirmed_since IS NOT NULL"
    )
    assert await system.troubles() == []


@pytest.mark.parametrize("error", [StripeObjectMissingError("missing"), StripeBusyError("busy")])
async def test_an_error_instead_of_an_answer_suspends_nobody(
    system: ProvisioningSystem, monkeypatch: pytest.MonkeyPatch, error: StripeError
) -> None:
    subscription = await system.sell()
    await owe(system)

    async def refuse(self: LatestStripe, resource: Resource, object_id: str) -> Fetched:
        raise error

    monkeypatch.setattr(LatestStripe, "fetch", refuse)
    outcome = await system.run()
    assert not outcome.done
    assert system.world.of(subscription) == {"hosting": "active"}
    assert (await system.work())["debt_error"] == str(error)


@pytest.mark.parametrize("answer", [{"currency": None}, {"status": "unheard_of"}])
async def test_an_answer_that_cannot_be_read_suspends_nobody_and_is_trouble(
    system: ProvisioningSystem, answer: dict[str, object]
) -> None:
    subscription = await system.sell()
    await owe(system)
    invoice = {**system.stripe.objects["in_owed_sub_1"], **answer}
    system.stripe.objects["in_owed_sub_1"] = invoice
    assert not (await system.run()).done
    assert system.world.of(subscription) == {"hosting": "active"}
    assert "refetch_failed" in await system.troubles()


@pytest.mark.parametrize("status", ["void", "draft", "deleted", "uncollectible"])
async def test_only_a_debt_that_stands_suspends(system: ProvisioningSystem, status: str) -> None:
    subscription = await system.sell()
    await owe(system)
    [item] = items("starter_monthly_usd")
    system.stripe.objects["in_owed_sub_1"] = made.invoice(
        "in_owed_sub_1",
        status="draft" if status == "deleted" else status,
        deleted=status == "deleted",
        attempt_count=1,
        **finalized(ago(OVERDUE)),
    )
    system.stripe.objects["sub_1"] = made.subscription(
        "sub_1", status="past_due", items=[{**item, "current_period_start": ago(1)}]
    )
    assert (await system.run()).done
    stands = status == "uncollectible"
    assert system.world.of(subscription) == {"hosting": "suspended" if stands else "active"}
    assert ("nothing_owed" in await system.troubles()) is not stands


async def test_a_run_killed_after_the_answer_asks_again(
    system: ProvisioningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = await system.sell()
    await owe(system)

    async def die(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(money, "note_debt_confirmed", die)
        with pytest.raises(asyncio.CancelledError):
            await system.run()
    assert system.world.of(subscription) == {"hosting": "active"}
    system.stripe.asked.clear()
    await system.kill_run()
    await system.make_due()
    assert (await system.run()).done
    assert system.world.of(subscription) == {"hosting": "suspended"}
    assert system.stripe.asked == ["in_owed_sub_1", "sub_1"]


async def test_a_confirmation_counts_for_an_hour(system: ProvisioningSystem) -> None:
    subscription = await system.sell()
    await owe(system)
    system.world.misbehave("hosting", "fail_before")
    assert not (await system.run()).done
    for minutes, asked in ((59, []), (2, ["in_owed_sub_1", "sub_1"])):
        await system.pool.execute(
            "UPDATE provisioning_work SET debt_confirmed_at = debt_confirmed_at - $1::interval",
            timedelta(minutes=minutes),
        )
        system.stripe.asked.clear()
        system.world.misbehave("hosting", "fail_before")
        await system.make_due()
        assert not (await system.run()).done
        assert system.stripe.asked == asked, minutes
    await pay(system)
    await system.make_due()
    assert (await system.run()).done
    assert system.world.of(subscription) == {"hosting": "active"}


async def test_an_account_whose_resume_is_pending_is_suspended_only_for_a_confirmed_debt(
    system: ProvisioningSystem,
) -> None:
    await system.sell()
    await owe(system)
    assert (await system.run()).done
    await pay(system)
    system.world.misbehave("hosting", "fail_after")
    assert not (await system.run()).done
    assert (await system.service())["pending_action"] == "resume"
    await owe(system)
    system.stripe.objects.clear()
    await system.make_due()
    assert "debt not confirmed" in str((await system.run()).error)


async def test_a_sent_invoice_that_becomes_due_wakes_the_worker_then(
    system: ProvisioningSystem,
) -> None:
    subscription = await system.sell()
    due = datetime.now(UTC).replace(microsecond=0) + 20 * DAY
    sent = {"collection_method": "send_invoice", "due_date": unix(due), **finalized(ago(9))}
    for status, wake_at in (("past_due", due + GRACE), ("unpaid", due)):
        await system.deliver_invoice("open", "in_2", **sent)
        await system.deliver_subscription(status)
        assert (await system.run()).done
        assert system.world.of(subscription) == {"hosting": "active"}, status
        assert (await system.work())["wake_at"] == wake_at, status


async def test_many_debts_at_once_do_not_hold_the_jobs_of_a_worker(
    system: ProvisioningSystem,
) -> None:
    ids = [await system.sell(id_=f"sub_{number}") for number in range(1, 31)]
    for number in range(1, 31):
        await owe(system, f"sub_{number}")
    began = await system.pool.fetchval("SELECT clock_timestamp()")
    at = asyncio.get_running_loop().time()
    outcomes = await asyncio.gather(
        *(provision_tenant_for_subscription(system.provisioning, id_) for id_ in ids)
    )
    assert asyncio.get_running_loop().time() - at < 30 / REQUESTS_PER_SECOND
    waiting = await system.pool.fetch(
        "SELECT wake_at - $1 AS left FROM provisioning_work WHERE version > done_version "
        "ORDER BY wake_at",
        began,
    )
    assert [outcome.done for outcome in outcomes].count(False) == len(waiting) == 25
    assert len(set(waiting)) == 25, "they come back one after another"
    assert waiting[-1]["left"] > timedelta(seconds=24 * 2 / REQUESTS_PER_SECOND)
    for _ in range(30):
        await system.make_due()
        for id_ in ids:
            await provision_tenant_for_subscription(system.provisioning, id_)
        if all(system.world.of(id_) == {"hosting": "suspended"} for id_ in ids):
            return
    raise AssertionError("some are still served")


async def test_days_of_grace_that_were_agreed_hold_when_stripe_gives_up(
    system: ProvisioningSystem,
) -> None:
    subscription = await system.sell()
    agreement = leniency.Agreement("pays by cheque", grace_days=OVERDUE + 1)
    await leniency.agree_leniency(system.pool, subscription, agreement, operator="grace")
    await owe(system)
    await system.deliver_subscription("unpaid")
    assert (await system.run()).done
    assert system.world.of(subscription) == {"hosting": "active"}
