"""What does not fit mPanel's columns; sessions of one order; items that an event does not carry."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.gateway import open_gateway
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.service import make_settings
from tests.webhooks.pair import LATER, Pair, event_of, renewal

HUGE = 10**11
ORDER = "0190d2f0-0000-7000-8000-000000000001"


async def test_an_amount_too_large_for_mpanels_columns_is_cut_there_and_whole_in_ours(
    pair: Pair,
) -> None:
    fast = renewal(amount=HUGE)
    assert await pair.receive_on_fast_path(fast) == {fast.id}
    full = made.subscription("sub_2", customer="cus_2", amount=HUGE)
    deliver = pair.inbox.deliver
    assert await deliver("customer.subscription.updated", full, created=LATER) == "applied"
    assert await deliver("invoice.paid", made.invoice("in_2", total=HUGE)) == "applied"
    for name in ("sub_1", "sub_2"):
        row = await pair.inbox.subscription(name)
        assert (row["amount"], str(row["price"])) == (HUGE, "99999999.99")
    bill = await pair.inbox.row("SELECT * FROM invoices WHERE stripe_invoice_id = 'in_2'")
    assert (bill["amount_due"], str(bill["total"])) == (HUGE, "99999999.99")


def test_sessions_of_one_order_never_share_a_batch() -> None:
    sessions = [made.session(id_, order=ORDER) for id_ in ("cs_1", "cs_2")]
    events = [event_of("checkout.session.completed", session) for session in sessions]
    assert {event.batch_key for event in events} == {ORDER}


async def test_a_fetched_subscription_brings_all_its_items(inbox: Inbox) -> None:
    first = made.subscription()
    first["items"]["has_more"] = True
    item = made.subscription()["items"]["data"][0]
    every: Mapping[str, Any] = {
        "object": "list",
        "url": "/v1/subscription_items",
        "has_more": False,
        "data": [item, item | {"id": "si_11"}],
    }

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(first if request.match_info.get("id") else every)

    app = web.Application()
    app.router.add_get("/v1/subscriptions/{id}", answer)
    app.router.add_get("/v1/subscription_items", answer)
    async with TestServer(app) as server:
        base = str(server.make_url("/"))
        async with open_gateway(make_settings(stripe_api_base=base)) as gateway:
            await Mirror(inbox.pool, gateway, livemode=False).refresh("subscription", "sub_1")
    items = await inbox.pool.fetch("SELECT stripe_subscription_item_id FROM subscription_items")
    assert {row["stripe_subscription_item_id"] for row in items} == {"si_1", "si_11"}
    asked = "SELECT count(*) FROM stripe_refetches WHERE object_id = 'sub_1'"
    assert await inbox.pool.fetchval(asked) == 0
