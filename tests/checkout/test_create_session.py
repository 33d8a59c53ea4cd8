import asyncio
from typing import Any

import pytest

from mpanel_billing.catalogue.kept import KeptCatalogue
from mpanel_billing.checkout import sessions
from tests.service import CREATE_SESSION, SITE, Service
from tests.waiting import until_true

CUSTOMERS = "/v1/customers"
SESSIONS = "/v1/checkout/sessions"


async def test_an_order_is_recorded_before_it_is_paid(service: Service, order_a: Any) -> None:
    domain = {"mode": "new-or-transfer", "value": " AdaLovelace.COM "}
    response = await service.order(order_a | {"domain": domain, "couponCode": "welcome10"})
    row = await service.row("SELECT * FROM subscriptions")
    assert response == {
        "success": True,
        "url": f"{service.sandbox.url}/c/pay/{row['checkout_session_id']}",
        "sessionId": row["checkout_session_id"],
        "subscriptionId": str(row["id"]),
    }
    assert row["status"] == "provisional"
    assert (row["amount"], row["currency"], str(row["price"])) == (1298, "usd", "12.98")
    assert (row["auto_renew"], row["next_billing_date"]) == (False, None)
    assert row["metadata"] == {
        "planId": "starter",
        "billingCycle": "monthly",
        "trialActive": False,
        "addonIds": ["addon-backups-daily"],
        "domainMode": "new-or-transfer",
        "domainValue": "adalovelace.com",
        "customerEmail": "ada@example.com",
        "productTypes": ["hosting", "backup"],
        "couponCode": "WELCOME10",
    }


async def test_the_lines_of_an_order_are_recorded(service: Service, order_a: Any) -> None:
    await service.order(order_a | {"domain": {"mode": "register", "value": "ada.org"}})
    items = await service.pool.fetch("SELECT unit_amount FROM subscription_items ORDER BY 1")
    assert [item["unit_amount"] for item in items] == [499, 799]
    charge = await service.row("SELECT * FROM subscription_charges")
    assert (charge["kind"], charge["amount"], charge["state"]) == (
        "one_time",
        1399,
        "with_checkout",
    )


async def test_what_a_trial_makes_wait_is_not_on_the_session(
    service: Service, order_a: Any
) -> None:
    domain = {"mode": "register", "value": "ada.org"}
    await service.order(
        order_a | {"trialActive": True, "domain": domain, "couponCode": "WELCOME10"}
    )
    charges = await service.pool.fetch(
        "SELECT kind, code, state FROM subscription_charges ORDER BY position"
    )
    assert [tuple(charge) for charge in charges] == [
        ("one_time", "domain-org", "waiting"),
        ("discount", "WELCOME10", "waiting"),
    ]
    session = await service.row("SELECT params -> 'session' AS params FROM checkout_sessions")
    assert len(session["params"]["line_items"]) == 2
    assert "discounts" not in session["params"]
    assert "$24.27" in session["params"]["custom_text"]["submit"]["message"]


@pytest.mark.parametrize(
    ("accepted", "begins"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "Heute wird nichts abgebucht."),
        ("fr,en;q=0.5", "Nothing is charged today."),
        ("*", "Nothing is charged today."),
    ],
)
async def test_the_payment_page_says_what_a_trial_costs_in_the_browsers_language(
    service: Service, order_a: Any, accepted: str, begins: str
) -> None:
    await service.order(order_a | {"trialActive": True}, **{"Accept-Language": accepted})
    params = await service.pool.fetchval("SELECT params -> 'session' FROM checkout_sessions")
    assert params["custom_text"]["submit"]["message"].startswith(begins)


async def test_stripe_charges_what_was_ordered(service: Service, order_a: Any) -> None:
    domain = {"mode": "register", "value": "ada.org"}
    await service.buy(order_a | {"domain": domain, "couponCode": "WELCOME10"})
    invoice = await service.row("SELECT amount_paid, total FROM invoices")
    assert invoice["amount_paid"] == 799 + 499 + 1399 - 270


async def test_the_order_runs_on_a_stripe_customer_of_its_own(
    service: Service, order_a: Any
) -> None:
    await service.buy(order_a)
    # of two payments in the same second, either may be the first
    await service.stripe.advance_time(await service.stripe.now() + 5)
    await service.buy(order_a | {"planId": "premium"})
    rows = await service.pool.fetch(
        "SELECT customer_id, stripe_customer_id FROM subscriptions ORDER BY created_at"
    )
    first, second = rows
    assert first["customer_id"] == second["customer_id"]
    assert first["stripe_customer_id"] != second["stripe_customer_id"]
    customer = await service.row("SELECT * FROM customers")
    assert customer["stripe_customer_id"] == first["stripe_customer_id"]


async def test_a_customer_of_mpanel_is_matched_on_our_side_only(
    service: Service, order_a: Any
) -> None:
    known = await service.pool.fetchval(
        """WITH u AS (INSERT INTO users (email, password_hash, email_verified)
                      VALUES ('Ada@Example.com', 'x', TRUE) RETURNING id)
           INSERT INTO customers (user_id) SELECT id FROM u RETURNING id"""
    )
    await service.order(order_a)
    customer = await service.row("SELECT * FROM customers")
    assert (customer["id"], customer["email"]) == (known, "ada@example.com")
    assert customer["stripe_customer_id"] is None
    order = await service.row("SELECT * FROM subscriptions")
    assert order["customer_id"] == known
    assert order["stripe_customer_id"] is not None


async def test_the_same_order_again_has_the_same_page(service: Service, order_a: Any) -> None:
    first = await service.order(order_a)
    shouted = order_a["customer"] | {"email": "ADA@example.com"}
    assert await service.order(order_a | {"customer": shouted}) == first
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 1


async def test_a_double_click_makes_one_order(service: Service, order_a: Any) -> None:
    responses = await asyncio.gather(*(service.order(order_a) for _ in range(5)))
    assert all(response == responses[0] for response in responses)
    for table in ("customers", "subscriptions", "stripe_customers", "checkout_sessions"):
        assert await service.pool.fetchval(f"SELECT count(*) FROM {table}") == 1, table


async def test_a_double_click_while_stripe_is_slow_has_the_same_page(
    service: Service, order_a: Any
) -> None:
    await service.stripe.inject_fault("hang", path=SESSIONS, seconds=4.0)
    first, second = await asyncio.gather(service.order(order_a), service.order(order_a))
    assert first == second
    assert await service.pool.fetchval("SELECT count(*) FROM checkout_sessions") == 1


async def test_a_changed_order_closes_the_session_before_it(service: Service, order_a: Any) -> None:
    first = await service.order(order_a)
    second = await service.order(order_a | {"billingCycle": "annually"})
    assert first["subscriptionId"] != second["subscriptionId"]
    assert (await service.stripe.pay(first["url"])).status != 303
    assert (await service.stripe.pay(second["url"])).status == 303
    status = await service.pool.fetchval(
        "SELECT status FROM subscriptions WHERE id = $1::text::uuid", first["subscriptionId"]
    )
    assert status == "expired"


async def test_a_changed_order_leaves_a_paid_one_alone(service: Service, order_a: Any) -> None:
    await service.stripe.set_delivery(hold=True)
    first = await service.order(order_a)
    await service.stripe.pay(first["url"])
    await service.order(order_a | {"planId": "premium"})
    await service.stripe.release()
    await service.stripe.wait_idle()
    row = await service.row(
        "SELECT status FROM subscriptions WHERE id = $1::text::uuid", first["subscriptionId"]
    )
    assert row["status"] == "pending"


async def test_an_order_that_was_changed_while_stripe_was_slow_cannot_be_paid(
    service: Service, order_a: Any
) -> None:
    await service.order(order_a | {"customer": {"name": "Grace", "email": "grace@example.com"}})
    cookie = {"Cookie": "; ".join(map("=".join, service.cookies.items()))}
    await service.stripe.inject_fault("hang", path=SESSIONS, seconds=1.0)
    slow = asyncio.create_task(service.client.post(CREATE_SESSION, json=order_a, headers=cookie))
    customer_known = "SELECT count(stripe_customer_id) > 1 FROM checkout_sessions"
    await until_true(service.pool, customer_known)
    assert not slow.done()
    changed = await service.order(order_a | {"planId": "premium"})
    response = await slow
    assert response.status == 409
    assert (await response.json())["code"] == "order_changed"
    superseded = await service.row(
        "SELECT c.stripe_session_id, c.status FROM checkout_sessions AS c"
        " JOIN orders AS o USING (subscription_id) WHERE o.superseded_at IS NOT NULL"
    )
    assert (await service.stripe.pay(superseded["stripe_session_id"])).status != 303
    assert (await service.stripe.pay(changed["url"])).status == 303


async def test_a_second_trial_is_refused(service: Service, order_a: Any) -> None:
    trial = order_a | {"trialActive": True}
    await service.buy(trial)
    response = await service.client.post(CREATE_SESSION, json=trial)
    assert response.status == 409
    content = await response.json()
    assert content["code"] == "offer_unavailable"
    assert "fields" not in content


async def test_a_failure_of_stripe_is_reported_and_the_order_can_be_repeated(
    service: Service, order_a: Any
) -> None:
    for path in (CUSTOMERS, SESSIONS):
        await service.stripe.inject_fault("status", status=500, path=path, times=3)
        response = await service.client.post(CREATE_SESSION, json=order_a, headers={"Origin": SITE})
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        assert response.headers["Access-Control-Allow-Origin"] == SITE
        assert (await response.json())["code"] == "stripe_unavailable"
    response = await service.order(order_a)
    assert (await service.stripe.pay(response["url"])).status == 303
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 1


async def test_a_lost_response_of_stripe_is_requested_again(service: Service, order_a: Any) -> None:
    await service.stripe.inject_fault("reset", path=SESSIONS, times=3, after_work=True)
    response = await service.client.post(CREATE_SESSION, json=order_a)
    assert response.status == 503
    await service.order(order_a)
    attempt = await service.row("SELECT attempt, status FROM checkout_sessions")
    assert tuple(attempt) == (1, "open")


async def test_a_refusal_of_stripe_is_worded_for_the_buyer(service: Service, order_a: Any) -> None:
    await service.pool.execute("UPDATE prices SET stripe_price_id = stripe_price_id || 'x'")
    response = await service.client.post(CREATE_SESSION, json=order_a)
    content = await response.json()
    assert response.status == 502
    assert content["error"].startswith("The payment page could not be opened.")
    await service.pool.execute("UPDATE prices SET stripe_price_id = left(stripe_price_id, -1)")
    await service.order(order_a)
    attempts = await service.pool.fetch("SELECT status FROM checkout_sessions ORDER BY attempt")
    assert [row["status"] for row in attempts] == ["failed", "open"]


async def test_a_catalogue_that_was_not_pushed_sells_nothing(
    service: Service, order_a: Any, caplog: Any
) -> None:
    await service.pool.execute("UPDATE prices SET stripe_price_id = NULL, livemode = NULL")
    response = await service.client.post(CREATE_SESSION, json=order_a)
    assert response.status == 503
    assert (await response.json())["code"] == "catalogue_not_pushed"
    assert "starter_monthly_usd" in caplog.text
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 0


async def test_an_order_is_priced_again_if_the_catalogue_in_memory_is_old(
    service: Service, order_a: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeptCatalogue, "hear", lambda *_: None)
    await service.order(order_a)
    await service.pool.execute("UPDATE products SET max_per_customer = 1, updated_at = now()")
    changed = order_a | {"customer": order_a["customer"] | {"name": "Ada King"}}
    response = await service.client.post(CREATE_SESSION, json=changed)
    assert (await response.json())["code"] == "plan_limit_reached"


async def test_an_order_does_not_read_the_catalogue_from_the_database(
    service: Service, order_a: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.order(order_a)
    monkeypatch.delattr(sessions, "load_offers")
    await service.order_elsewhere(order_a | {"planId": "premium"})


class TestIdempotencyKey:
    async def test_the_same_request_has_the_same_response_however_late(
        self, service: Service, order_a: Any
    ) -> None:
        first = await service.order(order_a, **{"Idempotency-Key": "one"})
        await service.pool.execute("UPDATE orders SET created_at = now() - interval '2 hours'")
        assert await service.order(order_a, **{"Idempotency-Key": "one"}) == first

    async def test_another_request_under_the_key_is_refused(
        self, service: Service, order_a: Any
    ) -> None:
        headers = {"Idempotency-Key": "one"}
        await service.order(order_a, **headers)
        other = order_a | {"planId": "premium"}
        response = await service.client.post(CREATE_SESSION, json=other, headers=headers)
        assert response.status == 409
        assert (await response.json())["code"] == "idempotency_key_reused"

    async def test_the_same_request_at_the_same_time_has_the_same_response(
        self, service: Service, order_a: Any
    ) -> None:
        headers = {"Idempotency-Key": "one"}
        responses = await asyncio.gather(*(service.order(order_a, **headers) for _ in range(4)))
        assert all(response == responses[0] for response in responses)

    async def test_a_request_that_crashed_is_resumed(self, service: Service, order_a: Any) -> None:
        headers = {"Idempotency-Key": "one"}
        await service.stripe.inject_fault("reset", path=SESSIONS, times=3, after_work=True)
        await service.client.post(CREATE_SESSION, json=order_a, headers=headers)
        await service.pool.execute("UPDATE orders SET created_at = now() - interval '2 hours'")
        await service.order(order_a, **headers)
        assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 1

    async def test_a_key_is_forgotten_after_a_day(self, service: Service, order_a: Any) -> None:
        headers = {"Idempotency-Key": "one"}
        await service.order(order_a, **headers)
        await service.pool.execute(
            "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'"
        )
        await service.order(order_a | {"planId": "premium"}, **headers)

    async def test_a_key_must_be_visible_characters(self, service: Service, order_a: Any) -> None:
        response = await service.client.post(
            CREATE_SESSION, json=order_a, headers={"Idempotency-Key": "a b"}
        )
        assert response.status == 400


async def test_the_older_bridge_returns_url_and_id(service: Service) -> None:
    response = await service.client.post(
        "/api/public/checkout",
        json={
            "planId": "starter",
            "term": "annually",
            "email": "ada@example.com",
            "successUrl": f"{SITE}/done",
            "cancelUrl": f"{SITE}/back",
        },
    )
    content = await response.json()
    assert response.status == 200, content
    paid = await service.stripe.pay(content["url"])
    assert paid.location == f"{SITE}/done?session_id={content['id']}"
