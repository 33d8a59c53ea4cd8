"""What a verb leaves does not depend on how its webhooks arrive: the same rows, the same news."""

import re
from datetime import datetime
from typing import Any

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.messages import receivers
from tests.subscriptions.conftest import Backend

STARTER = {"planId": "starter", "billingCycle": "monthly"}
BUSINESS = {"planId": "business", "billingCycle": "monthly"}
BADLY = {"reorder": True, "duplicate": True, "delay": 0.02}


@pytest.fixture
def order_a(order_a: dict[str, Any]) -> dict[str, Any]:
    return order_a | {"planId": "premium"}


async def live(backend: Backend, order: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Buy, and let each verb happen; return what is shown afterwards, and what mPanel was told."""
    bought = await backend.service.buy(order)
    await backend.worker.catch_up()
    id_ = str(bought["subscriptionId"])
    path, stripe = f"subscriptions/{id_}", backend.service.stripe
    for verb, body in (
        ("change-plan", STARTER),
        ("undo-change", None),
        ("change-plan", BUSINESS),
        ("cancel", {"feedback": "unused"}),
        ("resume", None),
        ("pause", {"reason": "no season"}),
        ("resume", None),
        ("change-plan", STARTER),
    ):
        # a second of its own for each: a term that begins again within the same one is no other
        await stripe.advance_time(await stripe.now() + 5)
        assert (await backend.done(f"{path}/{verb}", body))["changed"], verb
        await backend.worker.catch_up()
    end = datetime.fromisoformat((await backend.subscription(id_))["currentPeriodEnd"])
    await stripe.advance_time(int(end.timestamp()) + 7200)
    await backend.worker.catch_up()
    told = await backend.service.pool.fetch(
        "SELECT type FROM billing_messages WHERE subscription_id::text = $1 ORDER BY type", id_
    )
    return await backend.subscription(id_), [row["type"] for row in told]


def without_ids(shown: object) -> object:
    """Leave out what differs between two lives: ids and times."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[^']*", "_", repr(shown))
    return re.sub(r"'domain': '[^']*'", "_", text)


async def test_a_life_of_changes_ends_the_same(backend: Backend, order_a: dict[str, Any]) -> None:
    await receivers.add(
        backend.service.pool,
        Actor("cli:grace@panel"),
        name="panel",
        url="http://127.0.0.1:9/",
        types=(),
        livemode=False,
    )
    calm, calm_news = await live(backend, order_a)
    await backend.service.stripe.set_delivery(**BADLY, seed=1)
    wild, wild_news = await live(backend, order_a | {"domain": {"mode": "later", "value": ""}})
    assert without_ids(wild) == without_ids(calm)
    assert wild_news == calm_news
    assert "subscription.changed" in calm_news
    assert await backend.service.pool.fetch("SELECT * FROM billing_trouble") == []
