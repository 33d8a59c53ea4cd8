"""The balances of Stripe customers are mirrored by currency."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.mirror.snapshot import snapshot_of_answer
from mpanel_billing.mirror.types import normalise
from mpanel_billing.reconciliation.compare import differences
from tests.inbox import Inbox

T = 1_790_000_000


def customer(**more: Any) -> dict[str, Any]:
    return {"id": "cus_1", "object": "customer", "email": None, "name": None, **more}


async def balances(inbox: Inbox) -> Mapping[str, int]:
    found = await inbox.pool.fetch("SELECT currency, balance FROM stripe_customer_balances")
    return {row["currency"]: row["balance"] for row in found}


async def fetch(inbox: Inbox, stripe_object: Mapping[str, Any], at: int) -> None:
    """Apply a customer as Stripe returned it."""
    read_at = datetime.fromtimestamp(at, UTC)
    snapshot = snapshot_of_answer(
        stripe_object, since=read_at, as_of=read_at, livemode=False, read_after=None
    )
    await inbox.mirror.apply([snapshot])


async def test_an_event_has_the_balance_in_the_customers_currency(inbox: Inbox) -> None:
    await inbox.deliver("customer.updated", customer(balance=0, currency=None), created=T)
    await inbox.deliver("customer.updated", customer(balance=0, currency="usd"), created=T + 1)
    assert await balances(inbox) == {}
    await inbox.deliver("customer.updated", customer(balance=-500, currency="usd"), created=T + 3)
    assert await balances(inbox) == {"usd": -500}
    await inbox.deliver("customer.updated", customer(balance=-900, currency="usd"), created=T + 2)
    assert await balances(inbox) == {"usd": -500}
    await inbox.deliver("customer.updated", customer(balance=0, currency="usd"), created=T + 4)
    assert await balances(inbox) == {"usd": 0}


async def test_a_customer_that_is_fetched_has_all_balances_with_the_other_sign(
    inbox: Inbox,
) -> None:
    every = {"usd": 500, "eur": -20}
    about = customer(balance=-500, currency="usd")
    await fetch(inbox, about | {"invoice_credit_balance": every}, T)
    assert await balances(inbox) == {"usd": -500, "eur": 20}
    await inbox.deliver("customer.updated", about | {"balance": -400}, created=T + 60)
    assert await balances(inbox) == {"usd": -400, "eur": 20}
    await fetch(inbox, about | {"balance": -400, "invoice_credit_balance": {"usd": 400}}, T + 90)
    assert await balances(inbox) == {"usd": -400}


async def test_a_deleted_customer_has_no_balance(inbox: Inbox) -> None:
    about = customer(balance=-500, currency="usd")
    await inbox.deliver("customer.updated", about, created=T)
    await inbox.deliver("customer.deleted", about, created=T + 60)
    assert await balances(inbox) == {}


async def test_mpanels_own_balance_is_left_alone(inbox: Inbox) -> None:
    await inbox.order()
    await inbox.pool.execute("UPDATE customers SET credit_balance = 3.50")
    await inbox.deliver("customer.updated", customer(balance=-500, currency="usd"))
    (row,) = await inbox.pool.fetch("SELECT credit_balance FROM customers")
    assert str(row["credit_balance"]) == "3.50"


def test_a_balance_that_differs_is_drift() -> None:
    about = customer(balance=-500, currency="usd")
    row = {"email": None, "name": None, "deleted": False, "erased": False}
    row |= {"balances": {"usd": -500, "eur": 20}}
    listed = normalise(about, livemode=False)
    fetched = normalise(about | {"invoice_credit_balance": {"usd": 500}}, livemode=False)
    assert differences("customer", listed, row) == []
    assert [each.field for each in differences("customer", fetched, row)] == ["balance.eur"]
    (found,) = differences("customer", listed, row | {"balances": None})
    assert (found.field, found.ours, found.found) == ("balance.usd", "0", "-500")
