"""Names that an order cannot get are refused before anyone pays."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mpanel_billing.database.pool import transaction
from mpanel_billing.domains.names import read_name
from mpanel_billing.domains.repository.names import lock_names
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.settings import Settings
from mpanel_billing.subscriptions import lost_domains
from mpanel_billing.subscriptions.lost_domains import give_back_lost
from mpanel_billing.subscriptions.refunds import Refunded, RequestedRefund
from tests.commands import run_command
from tests.inline_worker import InlineWorker
from tests.service import CREATE_SESSION, Service, make_settings
from tests.waiting import until_blocking

KEY = "b" * 32
QUOTE = "/api/checkout/quote"
BACKEND = {"Authorization": f"Bearer {KEY}"}
EVE = {"customer": {"name": "Eve", "email": "eve@example.net"}}
TENANTS = "SELECT t.domain, t.billing_subscription_id::text AS owner FROM tenants AS t"
REGISTERED = """
    SELECT l.subscription_id::text AS owner, l.request ->> 'domainMode' AS mode,
        l.request -> 'furtherDomains' AS further
    FROM provisioning_log AS l WHERE l.product_type = 'hosting'"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
    )


def of(name: str, mode: str = "existing") -> dict[str, Any]:
    return {"domain": {"mode": mode, "value": name}}


async def refusal(
    service: Service, body: dict[str, Any], **headers: str
) -> tuple[int, dict[str, Any]]:
    answer = await service.client.post(CREATE_SESSION, json=body, headers=headers)
    return answer.status, await answer.json()


async def add_tenant(service: Service, domain: str) -> None:
    await service.pool.execute(
        "INSERT INTO tenants (name, domain) VALUES ('Victim Ltd', $1)", domain
    )


async def test_what_is_lies_under_or_above_a_tenants_domain_is_refused_and_nothing_recorded(
    service: Service, order_a: dict[str, Any]
) -> None:
    for domain in ("Victim.com", "shop.victim.co.uk", "bücher.de", "xn--mller-kva.de"):
        await add_tenant(service, domain)
    for name in (
        *("victim.com", " VICTIM.com. ", "victim。com", "www.victim.com", "a.b.victim.com"),
        *("shop.victim.co.uk", "victim.co.uk", "eu.shop.victim.co.uk"),
        *("xn--bcher-kva.de", "bücher.de", "www.bücher.de", "müller.de"),
    ):
        status, error = await refusal(service, order_a | of(name))
        assert (status, error["code"]) == (409, "domain_taken"), name
        assert list(error["fields"]) == ["domain.value"]
        assert "ictim Ltd" not in str(error)
    assert await service.pool.fetchval("SELECT count(*) FROM customers") == 0
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 0

    for name in ("my-victim.com", "victim.com.de", "other.victim.co.uk", "victimxcom.com"):
        await service.order(order_a | of(name))


async def test_what_mpanel_manages_for_a_customer_is_taken_too(
    service: Service, order_a: dict[str, Any]
) -> None:
    owner = await service.pool.fetchval(
        "WITH c AS (INSERT INTO customers (email) VALUES ('ada@example.com') RETURNING id)"
        " INSERT INTO domains (customer_id, domain_name, tld, status) SELECT id, d.*"
        " FROM c, (VALUES ('Ada.shop', 'shop', 'active'), ('lovelace', 'org', NULL),"
        " ('old.com', 'com', 'expired')) AS d RETURNING customer_id::text"
    )
    for name in ("ada.shop", "www.ada.shop", "lovelace.org", "a.lovelace.org"):
        assert (await refusal(service, order_a | of(name)))[1]["code"] == "domain_taken", name
        await service.order(order_a | of(name) | {"customerId": owner}, **BACKEND)
    for name in ("old.com", "shop.org", "ada.org"):
        await service.order(order_a | of(name))


async def test_the_error_does_not_tell_whose_the_name_is_nor_which(
    service: Service, order_a: dict[str, Any]
) -> None:
    await add_tenant(service, "secret.victim.com")
    _, above = await refusal(service, order_a | of("victim.com"))
    await add_tenant(service, "victim.com")
    _, same = await refusal(service, order_a | of("victim.com"))
    assert {**above, "requestId": ""} == {**same, "requestId": ""}
    assert "secret" not in str(above)


async def test_further_domains_are_checked_too(service: Service, order_a: dict[str, Any]) -> None:
    await add_tenant(service, "victim.com")
    for name, refused in (("victim.com", (409, "domain_taken")), ("gmail.com", (422, None))):
        cart = [
            {"type": "domain", "domain": "fine.com", "quantity": 1},
            {"type": "domain", "domain": name, "quantity": 1},
        ]
        status, error = await refusal(service, order_a | {"cartItems": cart, "domain": None})
        assert (status, error["code"]) == (refused[0], refused[1] or "domain_reserved")


@pytest.mark.parametrize(
    "name", ["gmail.com", "x.gmail.com", "panel.test", "ada.panel.test", "co.uk", "github.io"]
)
async def test_what_nobody_can_order_is_refused_even_if_vouched_for(
    service: Service, order_a: dict[str, Any], name: str
) -> None:
    status, error = await refusal(service, order_a | of(name), **BACKEND)
    assert (status, error["code"]) == (422, "domain_reserved")
    assert await service.pool.fetchval("SELECT count(*) FROM subscriptions") == 0


async def test_a_name_is_held_from_the_payment_on_before_the_worker_has_seen_it(
    service: Service, order_a: dict[str, Any]
) -> None:
    bought = await service.buy(order_a | of("ada.com", "register"))
    for name in ("ada.com", "www.ada.com"):
        assert (await refusal(service, order_a | EVE | of(name)))[1]["code"] == "domain_taken"

    # the same address proves nothing, mPanel does
    again = order_a | of("www.ada.com")
    assert (await refusal(service, again))[1]["code"] == "domain_taken"
    row = await service.row(
        "SELECT customer_id::text AS id FROM subscriptions WHERE id::text = $1",
        bought["subscriptionId"],
    )
    await service.order(again | {"customerId": row["id"]}, **BACKEND)
    other = await service.pool.fetchval(
        "INSERT INTO customers (email) VALUES ('eve@example.net') RETURNING id::text"
    )
    status, error = await refusal(service, again | EVE | {"customerId": other}, **BACKEND)
    assert (status, error["code"]) == (409, "domain_taken")


async def test_a_customer_who_comes_back_to_their_own_name_gets_what_they_had_if_vouched_for(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    bought = await service.buy(order_a | of("ada.com"))
    await worker.catch_up()
    row = await service.row("SELECT customer_id::text, stripe_subscription_id FROM subscriptions")
    await worker.gateway.client.v1.subscriptions.cancel_async(row["stripe_subscription_id"])
    await worker.catch_up()
    again = order_a | {"planId": "premium"} | of("ada.com")
    assert (await refusal(service, again))[1]["code"] == "domain_taken"

    back = await service.order(again | {"customerId": row["customer_id"]}, **BACKEND)
    assert (await service.stripe.pay(back["url"])).status == 303
    await worker.catch_up()
    [tenant] = await service.pool.fetch(TENANTS + " WHERE t.domain = 'ada.com'")
    assert tenant["owner"] == back["subscriptionId"] != bought["subscriptionId"]
    assert await service.pool.fetch("SELECT * FROM billing_trouble") == []


async def test_nobody_pays_twice_for_the_registration_of_their_own_name(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    await service.buy(order_a | of("ada.com", "register"))
    await worker.catch_up()
    customer = await service.pool.fetchval("SELECT customer_id::text FROM subscriptions")
    again = order_a | {"planId": "premium", "customerId": customer}
    for mode in ("register", "transfer", "new-or-transfer"):
        status, error = await refusal(service, again | of("ada.com", mode), **BACKEND)
        assert (status, error["code"]) == (409, "domain_owned")

    # a name has one tenant: the second order for it gets a name in our zone, and one row is live
    second = await service.order(again | of("ada.com", "existing"), **BACKEND)
    assert (await service.stripe.pay(second["url"])).status == 303
    await worker.catch_up()
    rows = await service.pool.fetch("SELECT state FROM billing_domains ORDER BY created_at")
    assert [row["state"] for row in rows] == ["active", "failed"]
    tenants = [row["domain"] for row in await service.pool.fetch(TENANTS)]
    assert "ada.com" in tenants
    assert sum(domain.endswith(".panel.test") for domain in tenants) == 1


async def test_nobody_pays_for_the_transfer_of_what_another_subscription_of_theirs_has(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    await service.buy(order_a | of("ada.com", "existing"))
    customer = await service.pool.fetchval("SELECT customer_id::text FROM subscriptions")
    again = order_a | {"planId": "premium", "customerId": customer} | of("ada.com", "transfer")
    for _ in ("paid", "provisioned"):
        assert (await refusal(service, again, **BACKEND))[1]["code"] == "domain_owned"
        answer = await service.client.post(QUOTE, json=again, headers=BACKEND)
        [domain] = (await answer.json())["domains"]
        assert domain["availability"] == "taken"
        await worker.catch_up()


@pytest.mark.parametrize(
    ("mode", "days"), [("register", 0), ("transfer", 0), ("new-or-transfer", 30)]
)
async def test_nobody_pays_again_for_a_name_that_they_have_kept(
    service: Service, worker: InlineWorker, order_a: dict[str, Any], mode: str, days: int
) -> None:
    """Neither while their accounts are still there, nor afterwards."""
    await service.buy(order_a | of("ada.com", "register"))
    await worker.catch_up()
    row = await service.row("SELECT customer_id::text, stripe_subscription_id FROM subscriptions")
    await worker.gateway.client.v1.subscriptions.cancel_async(row["stripe_subscription_id"])
    at_once = replace(worker.provisioning, policy=Policy(timedelta(0), timedelta(days)))
    await replace(worker, provisioning=at_once).catch_up()
    again = order_a | of("ada.com", mode)
    assert (await refusal(service, again))[1]["code"] == "domain_taken"

    own = again | {"customerId": row["customer_id"]}
    answer = await service.client.post(QUOTE, json=own, headers=BACKEND)
    quoted = await answer.json()
    [domain] = quoted["domains"]
    assert (domain["availability"], domain["mode"]) == ("available", "existing")
    assert not any("ada.com" in line["name"] for line in quoted["lines"])
    back = await service.order(own, **BACKEND)
    assert (await service.stripe.pay(back["url"])).status == 303
    await worker.catch_up()
    [charged] = await service.pool.fetch("SELECT subscription_id FROM subscription_charges")
    assert str(charged["subscription_id"]) != back["subscriptionId"]
    modes = {row["owner"]: row["mode"] for row in await service.pool.fetch(REGISTERED)}
    assert modes[back["subscriptionId"]] == (None if days else "existing"), "asked for once"
    [name] = await service.pool.fetch("SELECT subscription_id, state FROM billing_domains")
    assert (str(name["subscription_id"]), name["state"]) == (back["subscriptionId"], "active")
    assert await service.pool.fetch("SELECT * FROM billing_trouble") == []


async def test_a_trial_holds_its_name_as_a_payment_does(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    trial = {"trialActive": True, "addonIds": []}
    await service.buy(order_a | trial | of("ada.com", "register"))
    await worker.catch_up()
    assert (await refusal(service, order_a | EVE | of("ada.com")))[1]["code"] == "domain_taken"


async def test_an_unpaid_page_blocks_nobody_and_is_closed_once_another_has_paid(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    squatted = order_a | EVE | of("www.ada.com")
    page = await service.order(squatted)
    await service.buy(order_a | of("ada.com", "register"))
    await worker.catch_up()
    row = await service.row(
        "SELECT status FROM checkout_sessions WHERE stripe_session_id = $1", page["sessionId"]
    )
    assert row["status"] == "expired"
    assert (await service.stripe.pay(page["url"])).status != 303
    assert (await refusal(service, squatted))[1]["code"] == "domain_taken"
    assert await service.pool.fetch("SELECT * FROM billing_trouble") == []
    tenants = await service.pool.fetch(TENANTS)
    assert [tenant["domain"] for tenant in tenants] == ["ada.com"]


@pytest.mark.parametrize("other", ["ada.com", "shop.ada.com"])
async def test_of_two_orders_at_once_that_are_paid_at_once_one_gets_the_name(
    service: Service, worker: InlineWorker, order_a: dict[str, Any], other: str
) -> None:
    orders = await asyncio.gather(
        service.order(order_a | of("ada.com", "register")),
        service.order(order_a | EVE | of(other)),
    )
    for order in orders:
        assert (await service.stripe.pay(order["url"])).status == 303
    await worker.catch_up()
    tenants = [tenant["domain"] for tenant in await service.pool.fetch(TENANTS)]
    own = [domain for domain in tenants if domain.endswith(".panel.test")]
    assert len(tenants) == 2
    assert len(own) == 1
    [trouble] = await service.pool.fetch("SELECT * FROM billing_trouble")
    assert own[0] in trouble["detail"]
    modes = sorted(row["mode"] for row in await service.pool.fetch(REGISTERED))
    assert modes in (["later", "register"], ["existing", "later"])


async def test_a_further_domain_that_another_has_got_is_not_registered(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    shop = [{"type": "domain", "domain": name, "quantity": 1} for name in ("eve.com", "ada.com")]
    first = await service.order(order_a | of("ada.com", "register"))
    second = await service.order(order_a | EVE | {"domain": None, "cartItems": shop})
    for order in (first, second):
        assert (await service.stripe.pay(order["url"])).status == 303
        await service.stripe.wait_idle()
    await worker.catch_up()
    orders = {row["owner"]: row for row in await service.pool.fetch(REGISTERED)}
    assert orders[first["subscriptionId"]]["mode"] == "register"
    assert orders[second["subscriptionId"]]["further"] == []
    [trouble] = await service.pool.fetch("SELECT * FROM billing_trouble")
    assert "not registered: ada.com" in trouble["detail"]


WITH_FURTHER = {
    "domain": None,
    "cartItems": [
        {"type": "domain", "domain": name, "quantity": 1} for name in ("eve.com", "ada.com")
    ],
}


async def lose_a_name(service: Service, worker: InlineWorker, order: dict[str, Any]) -> Mirror:
    """Have Eve pay for a name that another customer gets first."""
    first = await service.order(order | of("ada.com", "register"))
    second = await service.order(order | EVE | WITH_FURTHER)
    for page in (first, second):
        assert (await service.stripe.pay(page["url"])).status == 303
        await service.stripe.wait_idle()
    await worker.catch_up()
    return Mirror(service.pool, worker.gateway, livemode=False)


async def troubles(service: Service) -> list[str]:
    rows = await service.pool.fetch("SELECT trouble FROM billing_trouble ORDER BY trouble")
    return [row["trouble"] for row in rows]


async def refunds(service: Service) -> list[int]:
    rows = await service.pool.fetch("SELECT amount FROM stripe_refunds")
    return [row["amount"] for row in rows]


@pytest.mark.parametrize(("coupon", "price"), [(None, 1299), ("WELCOME10", 1169)])
async def test_the_price_of_a_name_that_another_has_got_is_refunded_once(
    service: Service,
    worker: InlineWorker,
    order_a: dict[str, Any],
    coupon: str | None,
    price: int,
) -> None:
    first = await service.order(order_a | of("ada.com", "register"))
    second = await service.order(order_a | EVE | WITH_FURTHER | {"couponCode": coupon})
    for order in (first, second):
        assert (await service.stripe.pay(order["url"])).status == 303
        await service.stripe.wait_idle()
    await worker.catch_up()
    mirror = Mirror(service.pool, worker.gateway, livemode=False)
    done = await asyncio.gather(give_back_lost(mirror), give_back_lost(mirror))
    await worker.catch_up()
    assert sum(done) >= 1
    assert await give_back_lost(mirror) == 0
    assert await refunds(service) == [price]
    row = await service.row("SELECT * FROM billing_domains WHERE state = 'failed'")
    assert (row["name"], row["given_back_at"] is None) == ("ada.com", False)
    states = await service.pool.fetch("SELECT name FROM billing_domains WHERE state = 'active'")
    assert sorted(row["name"] for row in states) == ["ada.com", "eve.com"]


async def test_a_refund_that_has_to_wait_for_another_change_is_tried_again(
    service: Service,
    worker: InlineWorker,
    order_a: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mirror = await lose_a_name(service, worker, order_a)

    async def wait(*_: object) -> None:
        raise ConflictError("Another change is in progress.", retry_after=5)

    with monkeypatch.context() as patched:
        patched.setattr(lost_domains, "refund_invoice", wait)
        for tries in range(1, 6):
            assert "domain_not_refunded" not in await troubles(service)
            assert await give_back_lost(mirror) == 0
            assert await give_back_lost(mirror) == 0, "it is not asked again before its time"
            lost = await service.row("SELECT * FROM billing_domains WHERE state = 'failed'")
            assert lost["refund_attempts"] == tries
            assert lost["next_refund_at"] - lost["updated_at"] >= timedelta(seconds=10)
            await service.pool.execute(
                "UPDATE billing_domains SET next_refund_at = now() WHERE state = 'failed'"
            )
    assert "domain_not_refunded" in await troubles(service)
    assert await give_back_lost(mirror) == 1
    await worker.catch_up()
    assert await refunds(service) == [1299]
    assert "domain_not_refunded" not in await troubles(service)


async def test_a_refused_refund_is_trouble_and_not_asked_for_again_until_somebody_says_so(
    service: Service,
    worker: InlineWorker,
    order_a: dict[str, Any],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mirror = await lose_a_name(service, worker, order_a)
    real, asked = lost_domains.refund_invoice, []

    async def refuse(mirror: Mirror, request: RequestedRefund) -> Refunded:
        asked.append(request)
        return await real(mirror, replace(request, amount=1_000_000))

    with monkeypatch.context() as patched:
        patched.setattr(lost_domains, "refund_invoice", refuse)
        for _ in range(3):
            assert await give_back_lost(mirror) == 0
    assert len(asked) == 1
    trouble = await service.row(
        "SELECT * FROM billing_trouble WHERE trouble = 'domain_not_refunded'"
    )
    assert trouble["object_id"] == "ada.com"
    assert "not refunded: " in trouble["detail"]
    shown = await run_command(database_url, "domains", "show", "ada.com")
    assert "not refunded: " in shown.out

    assert (await run_command(database_url, "domains", "retry", "ada.com")).status == 0
    settled = await run_command(database_url, "domains", "settled", "ada.com")
    assert settled.status == 1, "it is being refunded"
    assert await give_back_lost(mirror) == 1
    await worker.catch_up()
    assert await refunds(service) == [1299]
    assert "domain_not_refunded" not in await troubles(service)


async def test_a_trial_is_not_charged_for_a_name_that_another_has_got(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    first = await service.order(order_a | of("ada.com", "register"))
    trial = {"trialActive": True, "addonIds": []}
    second = await service.order(order_a | EVE | WITH_FURTHER | trial)
    for order in (first, second):
        assert (await service.stripe.pay(order["url"])).status == 303
        await service.stripe.wait_idle()
    await worker.catch_up()
    charged = await service.pool.fetch("SELECT domain FROM subscription_charges")
    assert sorted(row["domain"] for row in charged) == ["ada.com", "eve.com"]
    mirror = Mirror(service.pool, worker.gateway, livemode=False)
    assert await give_back_lost(mirror) == 0

    await service.stripe.advance_time(await service.stripe.now() + 15 * 86_400)
    await service.stripe.wait_idle()
    await worker.catch_up()
    paid = await service.pool.fetchval(
        "SELECT max(i.amount_paid) FROM invoices AS i JOIN subscriptions AS s"
        " ON s.id = i.subscription_id WHERE s.id::text = $1",
        second["subscriptionId"],
    )
    assert paid == 799 + 1299
    states = await service.pool.fetch("SELECT name FROM billing_domains WHERE state = 'active'")
    assert sorted(row["name"] for row in states) == ["ada.com", "eve.com"]
    assert await refunds(service) == []


async def test_an_order_waits_for_a_tenant_that_gets_the_name_at_this_moment(
    service: Service, order_a: dict[str, Any]
) -> None:
    async with transaction(service.pool) as conn:
        await lock_names(conn, [read_name("ada.com")])
        order = asyncio.create_task(refusal(service, order_a | of("www.ada.com")))
        await until_blocking(conn, service.pool)
        await conn.execute("INSERT INTO tenants (name, domain) VALUES ('Ada', 'ada.com')")
    assert (await order)[1]["code"] == "domain_taken"
