"""What is agreed with a customer decides when a debt suspends, and it can be taken back."""

from datetime import UTC, datetime, timedelta

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.provisioning import leniency, operations
from tests.commands import run
from tests.provisioning.conftest import GRACE, ProvisioningSystem, items
from tests.provisioning.times import ago, finalized

GRACE_DAYS = GRACE.days


async def owe(system: ProvisioningSystem, days: float, id_: str = "sub_1") -> None:
    """Let an invoice be unpaid for so many days."""
    await system.deliver_invoice(
        "open", f"in_owed_{id_}", subscription=id_, attempt_count=1, **finalized(ago(days))
    )
    await system.deliver_subscription("past_due", id_=id_)


async def state(system: ProvisioningSystem, id_: str = "sub_1") -> str:
    assert (await system.run(id_)).done
    actual: str = (await system.service(id_=id_))["actual"]
    return actual


async def test_more_days_of_grace_end_and_begin_with_the_agreement(
    system: ProvisioningSystem,
) -> None:
    subscription = await system.sell()
    await owe(system, GRACE_DAYS + 1)
    assert await state(system) == "suspended"
    agreement = leniency.Agreement("pays by cheque", grace_days=GRACE_DAYS + 7)
    await leniency.agree_leniency(system.pool, subscription, agreement, operator="grace")
    assert await state(system) == "active"
    assert (
        await leniency.end_leniency(system.pool, subscription, whole_customer=False)
        == "pays by cheque"
    )
    assert await state(system) == "suspended"


async def test_no_debt_suspends_before_the_agreed_day(system: ProvisioningSystem) -> None:
    subscription = await system.sell()
    day = datetime.now(UTC) + timedelta(days=3)
    agreement = leniency.Agreement("bank holiday", not_before=day)
    await leniency.agree_leniency(system.pool, subscription, agreement, operator="grace")
    await owe(system, GRACE_DAYS + 30)
    assert await state(system) == "active"
    assert (await system.work())["wake_at"] == day


async def test_an_agreement_with_the_customer_is_for_all_subscriptions_but_those_with_their_own(
    system: ProvisioningSystem,
) -> None:
    first, second = await system.sell(id_="sub_1"), await system.sell(id_="sub_2")
    await system.pool.execute(
        "UPDATE subscriptions AS s SET customer_id = first.customer_id "
        "FROM subscriptions AS first WHERE first.id = $1",
        first,
    )
    for id_ in ("sub_1", "sub_2"):
        await owe(system, GRACE_DAYS + 1, id_)
    day = datetime.now(UTC) + timedelta(days=3)
    for_all = leniency.Agreement("old customer", GRACE_DAYS + 7, day, whole_customer=True)
    await leniency.agree_leniency(system.pool, first, for_all, operator="grace")
    assert [await state(system, id_) for id_ in ("sub_1", "sub_2")] == ["active", "active"]
    own = leniency.Agreement("misused", grace_days=0)
    await leniency.agree_leniency(system.pool, second, own, operator="grace")
    assert [await state(system, id_) for id_ in ("sub_1", "sub_2")] == ["active", "suspended"]


async def test_an_agreement_about_nothing_and_the_end_of_none_are_refused(
    system: ProvisioningSystem,
) -> None:
    subscription = await system.sell()
    with pytest.raises(InvalidRequestError):
        await leniency.agree_leniency(
            system.pool, subscription, leniency.Agreement("?"), operator="grace"
        )
    with pytest.raises(ConflictError):
        await leniency.end_leniency(system.pool, subscription, whole_customer=True)


async def test_it_is_agreed_on_the_command_line_shown_and_audited(
    system: ProvisioningSystem, database_url: str
) -> None:
    await system.sell()
    agreed = await run(
        database_url,
        *("provision", "lenient", "sub_1", "--not-before", "2030-01-02", "--grace-days", "30"),
        *("--reason", "pays by cheque"),
    )
    assert agreed == (0, "agreed\n")
    _, shown = await run(database_url, "provision", "show", "sub_1")
    assert (
        "lenient with the subscription: 30 days of grace, no suspension before 2030-01-02 00:00:00 "
        "(by grace: pays by cheque)"
    ) in shown
    assert await run(database_url, "provision", "strict", "sub_1") == (
        0,
        "no longer lenient for: pays by cheque\n",
    )
    actions = await system.pool.fetch("SELECT action FROM billing_audit_log ORDER BY id")
    assert [row["action"] for row in actions] == ["subscription.lenient", "subscription.strict"]


async def test_an_ignored_price_gives_nothing_and_takes_nothing_until_it_is_heeded(
    system: ProvisioningSystem, database_url: str
) -> None:
    plan, fee = items("starter_monthly_usd", "price_of_a_fee")
    await system.sell()
    await system.deliver_items(plan, fee)
    await system.run()
    assert await system.troubles() == ["item_unplaced"]
    ignored = await run(
        database_url, "provision", "ignore-price", fee["price"]["id"], "--reason", "a fee"
    )
    [listed] = items("starter_monthly_usd")
    with pytest.raises(ConflictError):
        await operations.ignore_price(
            system.pool, listed["price"]["id"], reason="a plan", operator="grace"
        )
    assert ignored == (0, f"ignoring {fee['price']['id']}; checking 1 subscriptions again\n")
    assert await system.troubles() == []
    await system.run()
    await system.deliver_items(fee)
    await system.run()
    assert (await system.service())["desired"] == "suspended"
    by = Actor("grace", None, None)
    assert await operations.heed_price(system.pool, fee["price"]["id"], by) == 1
    assert await system.troubles() == ["item_unplaced"]
    with pytest.raises(ConflictError):
        await operations.heed_price(system.pool, fee["price"]["id"], by)
