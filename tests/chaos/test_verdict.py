"""The verdict of a run sees what it is there for."""

import json
from collections import Counter
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tests.chaos.customers import Bought, address_of
from tests.chaos.road import Road
from tests.chaos.stripe_reader import StripeTruth
from tests.chaos.verdict import (
    broken_promises,
    charged_twice,
    differing_accounts,
    differing_refunds,
    differing_subscriptions,
    lost_orders,
    made_twice,
)
from tests.faults.response_log import ResponseLog
from tests.ports import unused_port

OWNER = "0b54d8a6-7d3a-4c34-9f53-0a1b2c3d4e5f"


def order(**more: Any) -> Bought:
    return Bought(1, "cs_1", OWNER, "starter", paid=True, **more)


def row(**more: Any) -> dict[str, Any]:
    as_mirrored = {
        "id": OWNER,
        "checkout_session_id": "cs_1",
        "stripe_status": "active",
        "cancel_at_period_end": False,
        "stripe_customer_id": "cus_1",
        "prices": ["price_1"],
    }
    return as_mirrored | more


def subscription(**more: Any) -> dict[str, Any]:
    item = {"price": {"id": "price_1", "product": "prod_1"}}
    as_stripe_has_it = {
        "id": "sub_1",
        "status": "active",
        "cancel_at_period_end": False,
        "customer": "cus_1",
        "items": {"data": [item]},
    }
    return as_stripe_has_it | more


def invoice(reason: str, begins: int = 0) -> dict[str, Any]:
    return {
        "id": f"in_{reason}_{begins}",
        "billing_reason": reason,
        "parent": {"subscription_details": {"subscription": "sub_1"}},
        "lines": {"data": [{"period": {"start": begins}}]},
    }


def truth(
    *subscriptions: dict[str, Any],
    invoices: tuple[dict[str, Any], ...] = (),
    payments: dict[str, int] | None = None,
    refunds: dict[str, int] | None = None,
) -> StripeTruth:
    return StripeTruth(
        {one["id"]: one for one in subscriptions or (subscription(),)},
        [invoice("subscription_create"), *invoices],
        {"cus_1": {"email": address_of(1)}},
        {"prod_1": "starter"},
        Counter(payments or {}),
        Counter(refunds or {}),
    )


ROWS = {"sub_1": row()}
ACCOUNT = {"subscription": OWNER, "type": "hosting", "state": "active"}
CREATE = {
    "subscription_id": OWNER,
    "product_type": "hosting",
    "action": "create",
    "idempotency_key": "key-1",
}


def journal(*orders: dict[str, Any]) -> str:
    return "\n".join(map(json.dumps, orders))


def test_a_run_in_which_all_is_well_has_no_problems() -> None:
    stripe = truth(invoices=(invoice("subscription_cycle", 1), invoice("subscription_cycle", 2)))
    problems = [
        *lost_orders([order()], stripe, ROWS),
        *charged_twice([order()], stripe, ROWS),
        *differing_subscriptions(stripe, ROWS),
        *made_twice(journal(CREATE, CREATE), [ACCOUNT]),
        *differing_accounts(stripe, ROWS, [ACCOUNT]),
        *broken_promises([order()], stripe, ROWS),
    ]
    assert problems == []


def test_an_order_without_its_row_or_with_two_subscriptions_is_seen() -> None:
    assert [*lost_orders([order()], truth(), {})]
    assert [*lost_orders([order()], truth(subscription(), subscription(id="sub_2")), ROWS)]


@pytest.mark.parametrize(
    "stripe",
    [
        truth(invoices=(invoice("subscription_create"),)),
        truth(invoices=(invoice("subscription_update"),)),
        truth(invoices=(invoice("subscription_cycle", 1), invoice("subscription_cycle", 1))),
        truth(payments={"in_1": 2}),
    ],
    ids=["order", "change", "term", "payment"],
)
def test_what_is_charged_twice_is_seen(stripe: StripeTruth) -> None:
    assert [*charged_twice([order()], stripe, ROWS)]


def test_a_refund_that_nobody_was_told_of_is_seen() -> None:
    assert not [*differing_refunds([order(refunded=100)], truth(refunds={"sub_1": 100}), ROWS)]
    for refunds in ({"sub_1": 200}, {}, {"sub_1": 100, "sub_2": 100}):
        assert [*differing_refunds([order(refunded=100)], truth(refunds=refunds), ROWS)]


def test_a_mirror_that_differs_is_seen() -> None:
    for differing in ({"stripe_status": "past_due"}, {"prices": []}):
        assert [*differing_subscriptions(truth(), {"sub_1": row(**differing)})]
    assert [*differing_subscriptions(truth(), {})]


def test_accounts_that_were_made_twice_are_seen() -> None:
    assert [*made_twice("", [ACCOUNT, ACCOUNT])]
    assert [*made_twice(journal(CREATE, CREATE | {"idempotency_key": "key-2"}), [ACCOUNT])]


def test_accounts_that_are_not_as_bought_are_seen() -> None:
    assert [*differing_accounts(truth(), ROWS, [])]
    assert [*differing_accounts(truth(subscription(status="canceled")), ROWS, [ACCOUNT])]


def test_a_promise_that_was_not_kept_is_seen() -> None:
    assert [*broken_promises([order(ends=True)], truth(), ROWS)]
    assert [*broken_promises([order(ended=True)], truth(), ROWS)]


async def test_only_what_the_service_has_answered_with_200_is_acknowledged() -> None:
    statuses = iter([503, 200])

    async def receive(_: web.Request) -> web.Response:
        return web.Response(status=next(statuses))

    app = web.Application()
    app.router.add_post("/", receive)
    async with TestServer(app) as server, ClientSession() as stripe:
        road = Road(unused_port(), str(server.make_url("/")), ResponseLog(), is_rough=False)
        async with road.opened():
            for number, known in ((1, set()), (2, {"evt_2"})):
                body = json.dumps({"id": f"evt_{number}"})
                headers = {"Stripe-Signature": "t=1,v1=0"}
                async with stripe.post(f"{road.base}/0", data=body, headers=headers) as response:
                    assert response.status == (200 if known else 503)
                assert road.acknowledged == known
