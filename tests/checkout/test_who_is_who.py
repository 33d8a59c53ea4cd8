"""Who only knows an e-mail address can do nothing to its owner, and learns nothing about them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.access.signed import Signer
from mpanel_billing.http.browser import COOKIE
from mpanel_billing.provisioning.operations import settle_trouble
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import open_gateway
from mpanel_billing.subscriptions.joining import join_accounts
from mpanel_billing.subscriptions.lookup import CustomerRef, require_customer
from mpanel_billing.worker.sweep import sweep
from tests.inline_worker import InlineWorker
from tests.service import CREATE_SESSION, SITE, WEBHOOK_SECRET, Service, make_settings
from tests.waiting import until_true

KEY = "b" * 32
BACKEND = {"Authorization": f"Bearer {KEY}"}
PREMIUM = {"planId": "premium"}
TRIAL = {"trialActive": True}
PAID_TWICE = "SELECT * FROM billing_trouble WHERE trouble = 'paid_twice'"

NOTED_LONG_AGO = "UPDATE billing_noted_users SET noted_at = now() - interval '2 hours'"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
    )


async def open_account(
    service: Service, *, verified: bool, record: bool = True, email: str = "Ada@example.com"
) -> dict[str, str]:
    """Let someone register in mPanel; return the ids of user and customer record."""
    row = await service.row(
        """WITH u AS (INSERT INTO users (email, password_hash, email_verified)
                      VALUES ($1, 'x', $2) RETURNING id),
                c AS (INSERT INTO customers (user_id) SELECT id FROM u WHERE $3 RETURNING id)
           SELECT u.id AS user_id, c.id FROM u LEFT JOIN c ON TRUE""",
        email,
        verified,
        record,
    )
    return {"userId": str(row["user_id"]), "customerId": str(row["id"])}


async def verify(service: Service) -> None:
    """Let mPanel verify the address, and the worker notice."""
    await service.pool.execute("UPDATE users SET email_verified = TRUE")
    await sweep(service.pool)


async def forget(service: Service) -> None:
    """Let the worker forget all accounts that were noted."""
    await service.pool.execute(NOTED_LONG_AGO)
    await sweep(service.pool)


async def listed(service: Service, path: str = "subscriptions", **query: str) -> Any:
    """What mPanel's backend is shown; the error code if it is refused."""
    url = f"/api/billing/{path}"
    async with service.client.get(url, params=query, headers=BACKEND) as response:
        content = await response.json()
        return content["code"] if response.status != 200 else content[path]


async def ids(service: Service, **query: str) -> Any:
    shown = await listed(service, **query)
    return shown if isinstance(shown, str) else [row["id"] for row in shown]


async def customer_of_address(service: Service) -> str:
    """Whom mPanel's backend means if it names only the address."""
    async with service.pool.acquire() as conn:
        return str(await require_customer(conn, CustomerRef(email="ADA@example.com")))


async def pay(service: Service, order: dict[str, Any]) -> None:
    assert (await service.stripe.pay(order["url"])).status == 303
    await service.stripe.wait_idle()


async def principal(service: Service) -> list[str | None]:
    rows = await service.pool.fetch("SELECT stripe_customer_id FROM customers ORDER BY created_at")
    return [row["stripe_customer_id"] for row in rows]


async def stripe_customer(service: Service, order: dict[str, Any]) -> str:
    row = await service.row(
        "SELECT stripe_customer_id AS id FROM subscriptions WHERE id::text = $1",
        order["subscriptionId"],
    )
    return str(row["id"])


class TestAccounts:
    async def test_an_unverified_account_does_not_get_orders_at_its_address(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        account = await open_account(service, verified=False)
        order = await service.buy(order_a)
        await sweep(service.pool)
        for name, id_ in account.items():
            assert await ids(service, **{name: id_}) == []
        assert await customer_of_address(service) == account["customerId"]
        change = {"planId": "premium", "billingCycle": "monthly", **account}
        url = f"/api/billing/subscriptions/{order['subscriptionId']}/change-plan"
        async with service.client.post(url, json=change, headers=BACKEND) as response:
            assert response.status == 404

    async def test_verified_later_it_gets_them_then(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        account = await open_account(service, verified=False)
        order = await service.buy(order_a)
        before = await service.row("SELECT id FROM customers WHERE user_id IS NULL")
        await verify(service)
        assert await join_accounts(service.pool, 100) == 0
        for names in (
            {"userId": account["userId"]},
            account,
            {"customerId": str(before["id"])},
        ):
            assert await ids(service, **names) == [order["subscriptionId"]]
            assert len(await listed(service, "invoices", **names)) == 1
        assert await customer_of_address(service) == account["customerId"]
        for table in ("orders", "subscriptions", "invoices", "stripe_customers"):
            rows = await service.pool.fetch(f"SELECT customer_id::text AS id FROM {table}")
            assert [row["id"] for row in rows] == [account["customerId"]], table
        assert (await principal(service)).count(await stripe_customer(service, order)) == 1
        left = await service.row("SELECT email, name FROM customers WHERE id = $1", before["id"])
        assert tuple(left) == (None, None)
        row = await service.row("SELECT name FROM customers WHERE user_id IS NOT NULL")
        assert row["name"] == "Ada Lovelace"

    async def test_an_unpaid_order_does_not_name_the_owner_of_the_account(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        await open_account(service, verified=False)
        await service.order_elsewhere(
            order_a | {"customer": {"name": "Mallory", "email": "ada@example.com"}}
        )
        await verify(service)
        names = await service.pool.fetch("SELECT name FROM customers")
        assert [row["name"] for row in names] == [None, None]

    async def test_what_was_written_to_a_record_after_it_joined_follows(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        account = await open_account(service, verified=False)
        order = await service.buy(order_a)
        before = await service.row("SELECT id FROM customers WHERE user_id IS NULL")
        await verify(service)
        for table in ("subscriptions", "invoices", "stripe_customers"):
            await service.pool.execute(f"UPDATE {table} SET customer_id = $1", before["id"])
        await sweep(service.pool)
        assert await ids(service, **account) == [order["subscriptionId"]]
        assert len(await listed(service, "invoices", **account)) == 1

    async def test_a_verified_account_gets_them_at_once(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        account = await open_account(service, verified=True)
        order = await service.buy(order_a)
        assert await ids(service, **account) == [order["subscriptionId"]]

    async def test_a_user_made_after_the_purchase_is_found_once_verified(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        order = await service.buy(order_a)
        account = await open_account(service, verified=False, record=False)
        assert await ids(service, userId=account["userId"]) == "unknown_customer"
        await service.pool.execute("UPDATE users SET email_verified = TRUE")
        assert await ids(service, userId=account["userId"]) == [order["subscriptionId"]]
        await sweep(service.pool)
        row = await service.row("SELECT user_id::text FROM customers")
        assert row["user_id"] == account["userId"]
        assert await ids(service, userId=account["userId"]) == [order["subscriptionId"]]

    async def test_a_verified_account_of_another_address_gets_nothing(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        """Not by an address of theirs that Stripe, or an older mPanel, has copied either."""
        order = await service.buy(order_a)
        mallory = await open_account(service, verified=True, email="mallory@example.com")
        await service.pool.execute(
            "UPDATE customers SET email = 'ada@example.com' WHERE id::text = $1",
            mallory["customerId"],
        )
        later = await service.buy(order_a | PREMIUM)
        await sweep(service.pool)
        assert await ids(service, **mallory) == []
        shown = await ids(service, customerId=await customer_of_address(service))
        assert sorted(shown) == sorted([order["subscriptionId"], later["subscriptionId"]])

    async def test_two_verified_accounts_of_one_address_do_not_fight_over_orders(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        """mPanel has an address once for each of its tenants."""
        accounts = [await open_account(service, verified=False) for _ in range(2)]
        order = await service.buy(order_a)
        await verify(service)
        await sweep(service.pool)
        assert [await ids(service, **account) for account in accounts] == [
            [order["subscriptionId"]],
            [],
        ]

    async def test_a_record_that_gets_the_address_of_an_account_joins_it(
        self, service: Service, worker: InlineWorker, order_a: dict[str, Any]
    ) -> None:
        """Also when the account was verified long before, and its note is forgotten."""
        account = await open_account(service, verified=True, email="grace@example.com")
        order = await service.buy(order_a)
        await forget(service)
        assert await ids(service, **account) == []
        customer = await stripe_customer(service, order)
        async with open_gateway(service.settings) as gateway:
            await gateway.create(f"/v1/customers/{customer}", {"email": "grace@example.com"})
        await worker.catch_up()  # Stripe is asked, if both events are of one second
        await sweep(service.pool)
        assert await ids(service, **account) == [order["subscriptionId"]]

    async def test_a_note_stays_while_it_leads_to_a_record(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        account = await open_account(service, verified=False)
        order = await service.buy(order_a)
        await service.pool.execute("UPDATE users SET email_verified = TRUE")
        await service.pool.execute(NOTED_LONG_AGO)
        assert await join_accounts(service.pool, 0) == 0, "as if there were too many others"
        assert await join_accounts(service.pool, 1) == 1
        assert await ids(service, **account) == [order["subscriptionId"]]
        await join_accounts(service.pool, 1)
        assert await service.pool.fetchval("SELECT count(*) FROM billing_noted_users") == 0

    async def test_an_account_is_noted_by_what_counts_for_it_only(self, service: Service) -> None:
        await open_account(service, verified=True)
        await forget(service)
        await service.pool.execute("UPDATE users SET email = email, email_verified = TRUE")
        await service.pool.execute("UPDATE users SET password_hash = 'y'")
        assert await service.pool.fetchval("SELECT count(*) FROM billing_noted_users") == 0
        await service.pool.execute("UPDATE users SET email = 'grace@example.com'")
        assert await service.pool.fetchval("SELECT count(*) FROM billing_noted_users") == 1

    async def test_events_that_come_after_the_join_go_to_the_account(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        account = await open_account(service, verified=False)
        order = await service.order(order_a)
        await service.stripe.set_delivery(hold=True)
        await service.stripe.pay(order["url"])
        await verify(service)
        await service.stripe.release()
        await service.stripe.wait_idle()
        assert await ids(service, **account) == [order["subscriptionId"]]
        assert len(await listed(service, "invoices", **account)) == 1


class TestPrincipal:
    """On which Stripe customer the card of a vouched order is saved."""

    async def test_an_unpaid_order_by_anyone_does_not_decide(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        await service.order_elsewhere(order_a)
        assert await principal(service) == [None]
        await service.order_elsewhere(order_a | TRIAL)
        assert await principal(service) == [None]

    async def test_the_first_payment_decides_whichever_event_comes_first(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        first = await service.order_elsewhere(order_a)
        second = await service.order(order_a | PREMIUM)
        await service.stripe.set_delivery(hold=True)
        assert (await service.stripe.pay(first["url"])).status == 303
        await service.stripe.set_delivery()
        await service.stripe.advance_time(await service.stripe.now() + 5)
        assert (await service.stripe.pay(second["url"])).status == 303
        paid = "SELECT count(*) = 1 FROM invoices WHERE stripe_status = 'paid'"
        await until_true(service.pool, paid)
        await until_true(service.pool, "SELECT count(stripe_customer_id) = 1 FROM customers")
        assert await principal(service) == [await stripe_customer(service, second)]
        await service.stripe.release()
        await service.stripe.wait_idle()
        assert await principal(service) == [await stripe_customer(service, first)]

    async def test_a_later_payment_changes_nothing(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        first = await service.buy(order_a)
        await service.stripe.advance_time(await service.stripe.now() + 5)
        await service.buy(order_a | PREMIUM)
        assert await principal(service) == [await stripe_customer(service, first)]

    async def test_a_trial_is_not_a_payment_until_its_end(
        self, service: Service, worker: InlineWorker, order_a: dict[str, Any]
    ) -> None:
        order = await service.buy(order_a | TRIAL)
        await worker.catch_up()
        assert await principal(service) == [None]
        trial = await service.row("SELECT trial_end FROM subscriptions")
        await service.stripe.advance_time(int(trial["trial_end"].timestamp()) + 7200)
        await worker.catch_up()
        assert await principal(service) == [await stripe_customer(service, order)]

    async def test_a_vouched_order_confirms_it_and_no_payment_moves_it(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        account = await open_account(service, verified=True)
        first = await service.buy(order_a)
        vouched = await service.order(
            order_a | PREMIUM | {"customerId": account["customerId"]}, **BACKEND
        )
        assert await stripe_customer(service, vouched) == await stripe_customer(service, first)
        row = await service.row("SELECT stripe_customer_paid_at FROM customers")
        assert row["stripe_customer_paid_at"] is None

    async def test_a_payment_at_the_address_does_not_rename_the_owner_of_the_account(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        await open_account(service, verified=True)
        await service.pool.execute("UPDATE customers SET name = 'Ada Lovelace'")
        mallory = {"customer": {"name": "Mallory", "email": "ada@example.com"}}
        await service.buy(order_a | mallory)
        assert (await service.row("SELECT name FROM customers"))["name"] == "Ada Lovelace"

    async def test_who_ordered_first_and_did_not_pay_does_not_name_the_customer(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        mallory = {"name": "Mallory", "email": "ada@example.com", "city": "Nowhere"}
        await service.order_elsewhere(order_a | {"customer": mallory})
        await service.buy(order_a | {"customer": order_a["customer"] | {"city": "London"}})
        row = await service.row("SELECT name, city FROM customers")
        assert tuple(row) == ("Ada Lovelace", "London")


class TestPages:
    """Payment pages that were opened at someone's address."""

    async def test_an_order_from_elsewhere_leaves_the_open_page_alone(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        hers = await service.order(order_a)
        other = await service.order_elsewhere(order_a | PREMIUM)
        for order in (hers, other):
            assert (await service.stripe.pay(order["url"])).status == 303

    async def test_who_guesses_the_order_but_not_all_of_it_does_not_get_the_page(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        hers = await service.order(order_a | {"customer": order_a["customer"] | {"city": "Leeds"}})
        assert (await service.order_elsewhere(order_a))["url"] != hers["url"]

    async def test_the_same_browser_replaces_its_page(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        first = await service.order(order_a)
        await service.order(order_a | PREMIUM)
        assert (await service.stripe.pay(first["url"])).status != 303

    async def test_a_page_that_two_browsers_have_ordered_is_closed_by_neither(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        theirs = await service.order_elsewhere(order_a)
        hers = await service.order(order_a)
        assert hers["url"] == theirs["url"]
        await service.order_elsewhere(order_a | PREMIUM)
        assert (await service.stripe.pay(hers["url"])).status == 303

    async def test_after_a_double_click_the_browser_may_still_replace_its_page(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        """Both requests came without a cookie; the browser keeps that of the second response."""
        first = await service.order(order_a, Cookie="")
        assert await service.order(order_a) == first
        await service.order(order_a | PREMIUM)
        assert (await service.stripe.pay(first["url"])).status != 303

    @pytest.mark.parametrize("forgery", ["made up", "other purpose", "expired"])
    async def test_a_cookie_that_is_not_ours_replaces_nothing(
        self, service: Service, order_a: dict[str, Any], forgery: str
    ) -> None:
        first = await service.order(order_a)
        browser = await service.row("SELECT browser_id::text AS id FROM orders")
        forged = await service.order(
            order_a | PREMIUM, Cookie=f"{COOKIE}={forge(forgery, browser['id'])}"
        )
        assert forged["url"] != first["url"]
        assert (await service.stripe.pay(first["url"])).status == 303

    async def test_two_pages_that_are_both_paid_are_shown(
        self, service: Service, worker: InlineWorker, order_a: dict[str, Any]
    ) -> None:
        first = await service.order(order_a)
        second = await service.order_elsewhere(order_a | PREMIUM)
        await pay(service, second)
        assert await service.pool.fetch(PAID_TWICE) == []
        await pay(service, first)
        await worker.catch_up()
        (trouble,) = await service.pool.fetch(PAID_TWICE)
        assert str(trouble["subscription_id"]) == second["subscriptionId"]
        await settle_trouble(service.pool, trouble["subscription_id"])  # they want both
        assert await service.pool.fetch(PAID_TWICE) == []

    async def test_a_second_order_after_the_first_was_paid_is_not_trouble(
        self, service: Service, worker: InlineWorker, order_a: dict[str, Any]
    ) -> None:
        await service.buy(order_a)
        await pay(service, await service.order_elsewhere(order_a | PREMIUM))
        await worker.catch_up()
        assert await service.pool.fetch(PAID_TWICE) == []


def forge(how: str, browser_id: str) -> str:
    """Return a cookie with a browser's id that the service has not signed for it."""
    now = datetime.now(UTC)
    match how:
        case "made up":
            signer, signed_at = Signer([b"x"], "browser"), now
        case "other purpose":
            signer, signed_at = Signer([WEBHOOK_SECRET.encode()], "plan-change-preview"), now
        case _:
            signer = Signer([WEBHOOK_SECRET.encode()], "browser")
            signed_at = now - timedelta(days=2)
    return signer.sign({"id": browser_id}, now=signed_at, lifetime=timedelta(days=1))


async def test_the_cookie_is_for_our_origin_alone_and_fits_cors(
    service: Service, order_a: dict[str, Any]
) -> None:
    async with service.client.post(
        CREATE_SESSION, json=order_a, headers={"Origin": SITE}
    ) as response:
        assert response.headers["Access-Control-Allow-Origin"] == SITE
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        cookie = response.cookies[COOKIE]
    assert COOKIE.startswith("__Host-")  # so no other host of the domain can set it
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "None")
    assert "ada" not in cookie.value
    row = await service.row("SELECT browser_id FROM orders")
    assert isinstance(row["browser_id"], UUID)


async def test_an_order_that_fails_is_remembered_too(
    service: Service, order_a: dict[str, Any]
) -> None:
    await service.stripe.inject_fault("status", status=500, path="/v1/checkout/sessions", times=3)
    response = await service.client.post(CREATE_SESSION, json=order_a)
    assert response.status == 503
    assert COOKIE in response.cookies


async def test_what_an_address_has_used_up_is_one_sentence(
    service: Service, order_a: dict[str, Any]
) -> None:
    account = await open_account(service, verified=True)
    await service.buy(order_a | TRIAL)
    response = await service.client.post(CREATE_SESSION, json=order_a | TRIAL)
    refusal = await response.json()
    del refusal["requestId"]
    assert refusal == {
        "success": False,
        "error": "This trial or coupon is not available for this order. Please order without it.",
        "code": "offer_unavailable",
    }
    told = await service.client.post(
        CREATE_SESSION,
        json=order_a | TRIAL | {"customerId": account["customerId"]},
        headers=BACKEND,
    )
    assert (await told.json())["code"] == "trial_used"
