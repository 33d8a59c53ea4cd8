"""docs/messages.md lists every type, and its example is what is sent."""

import json
import re
from typing import Any

from mpanel_billing.messages.types import TYPES
from mpanel_billing.resources import ROOT
from tests.messages.conftest import Life, Panel, send_due
from tests.messages.test_transitions import fields_in_docs

TEXT = (ROOT / "docs" / "messages.md").read_text()


def test_each_type_is_in_the_document_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+) \|$", TEXT, re.MULTILINE))
    assert rows == dict(TYPES)


def shape(value: Any) -> Any:
    """The names in an object, and in those within it."""
    return {name: shape(each) for name, each in value.items()} if isinstance(value, dict) else ""


async def test_the_example_has_the_fields_that_are_sent(life: Life, panel: Panel) -> None:
    await panel.add(life.pool)
    await life.buy()
    await send_due(life.sender)
    [example] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
    paid = next(message for message in panel.got if message["type"] == "invoice.paid")
    assert shape(paid) == shape(example)


async def test_what_else_is_in_a_message_is_in_the_document(life: Life, panel: Panel) -> None:
    await panel.add(life.pool)
    await life.buy()
    await change_and_refund(life)
    await send_due(life.sender)
    assert {"subscription.changed", "tenant.changed", "refund.succeeded"} <= set(panel.types)
    for message in panel.got:
        group, data = message["type"].partition(".")[0], message["data"]
        owner = {"order": "subscription"}.get(group, group)
        for name in data.keys() - {"customer", "links", "before", "invoice"}:
            if name != "subscription" or owner == "subscription":
                assert data[name].keys() == fields_in_docs(name), (message["type"], name)


async def change_and_refund(life: Life) -> None:
    """Sell them another plan in Stripe's Dashboard, and give something back."""
    api, pool = life.worker.gateway.client.v1, life.pool
    id_ = await pool.fetchval("SELECT stripe_subscription_id FROM subscriptions")
    price = await pool.fetchval(
        "SELECT stripe_price_id FROM prices WHERE lookup_key = 'premium_monthly_usd'"
    )
    item = await pool.fetchval(
        "SELECT stripe_subscription_item_id FROM subscription_items AS i"
        " JOIN products ON products.stripe_product_id = i.stripe_product_id WHERE kind = 'plan'"
    )
    await api.subscriptions.update_async(id_, {"items": [{"id": item, "price": price}]})
    intent = await pool.fetchval("SELECT stripe_payment_intent_id FROM invoice_payments")
    await api.refunds.create_async({"payment_intent": intent, "amount": 100})
    await life.worker.catch_up()
