"""Whatever an operator has of a customer finds them: with a command, and over HTTP."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.messages import receivers
from mpanel_billing.resources import QUERIES
from mpanel_billing.search.service import find
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.access.conftest import ADMIN_KEY, GRACE, bearer
from tests.commands import run, run_command
from tests.inline_worker import InlineWorker
from tests.service import Service, make_settings

FIND = "/api/admin/find"
DISPUTED_CARD = "4000000000000259"


CUSTOMER = """
INSERT INTO customers (id, name, company_name, email) VALUES
(md5('a')::uuid, 'Erna Müller-Straußmann', 'Kiosk 50%', 'kontakt.post@hosting-mueller.example'),
(md5('b')::uuid, 'Jane Doe', NULL, 'jane@elsewhere.test')
"""
PARTS = "".join(
    re.findall(r"^-- {5}(.*)$", (QUERIES / "search_parts.sql").read_text(), flags=re.MULTILINE)
)
"""The statements that make the index, as the queries tell them."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        admin_api_keys=ADMIN_KEY,
    )


@pytest.fixture
async def sold(service: Service, worker: InlineWorker, order_a: dict[str, Any]) -> str:
    """Ada's subscription, with a refund and a disputed payment; and one of Grace's."""
    await receivers.add(
        service.pool, GRACE, name="panel", url="http://127.0.0.1/", types=(), livemode=False
    )
    domain = {"mode": "existing", "value": "ada-lovelace.com"}
    bought = await service.buy(order_a | {"domain": domain}, DISPUTED_CARD)
    grace = {"name": "Grace Hopper", "email": "grace@navy.example", "company": "Navy Computing"}
    service.cookies.clear()
    await service.buy(order_a | {"customer": grace})
    await worker.catch_up()
    return str(bought["subscriptionId"])


async def found_by(pool: Pool, text: str) -> Sequence[str]:
    """Return the e-mail addresses of the customers whom a text finds."""
    found = await find(pool, text, 25)
    return [each.customer["email"] for each in found.customers]


async def ids_of(service: Service, subscription: str) -> Sequence[str]:
    """Return every id that a database and Stripe have of a purchase."""
    row = await service.row(
        "SELECT s.id::text AS ours, s.customer_id::text, s.tenant_id::text, i.id::text AS invoice,"
        " s.stripe_subscription_id, s.stripe_customer_id, i.stripe_invoice_id,"
        " p.stripe_payment_intent_id, c.stripe_session_id, m.id AS message,"
        " item.stripe_subscription_item_id, p.stripe_invoice_payment_id"
        " FROM subscriptions AS s JOIN invoices AS i ON i.subscription_id = s.id"
        " JOIN invoice_payments AS p USING (stripe_invoice_id)"
        " JOIN checkout_sessions AS c ON c.subscription_id = s.id"
        " CROSS JOIN LATERAL (SELECT m.id FROM billing_messages AS m"
        "  WHERE m.subscription_id = s.id LIMIT 1) AS m"
        " CROSS JOIN LATERAL (SELECT * FROM subscription_items AS item"
        "  WHERE item.subscription_id = s.id LIMIT 1) AS item"
        " WHERE s.id::text = $1",
        subscription,
    )
    events = await service.pool.fetch(
        "SELECT id FROM stripe_events WHERE payload::text LIKE '%' || $1 || '%'",
        row["stripe_customer_id"],
    )
    return [*row.values(), *(event["id"] for event in events)]


async def test_any_id_of_a_purchase_finds_its_customer(service: Service, sold: str) -> None:
    by_id = {id_: await found_by(service.pool, id_) for id_ in await ids_of(service, sold)}
    assert {id_: found for id_, found in by_id.items() if found != ["ada@example.com"]} == {}


async def test_an_object_that_only_events_name_finds_its_customer(
    service: Service, sold: str
) -> None:
    """A charge and a dispute of it, as the sandbox has sent them."""
    named = await service.pool.fetch(
        "SELECT DISTINCT object_id FROM stripe_events WHERE object_id ~ '^(ch|py|dp|du|pm|re)_'"
        " AND payload #>> '{data,object,customer}' IS DISTINCT FROM ("
        "  SELECT s.stripe_customer_id FROM subscriptions AS s JOIN customers AS c"
        "  ON c.id = s.customer_id WHERE c.email = 'grace@navy.example')"
    )
    for row in named:
        assert await found_by(service.pool, row["object_id"]) == ["ada@example.com"], row


@pytest.mark.parametrize(
    "text",
    [
        "ADA@example.com", "ada lovelace", "love", "lovelace ada", "ada@", "ada-lovelace.com",
        "WWW.ada-lovelace.com.", "https://www.ada-lovelace.com/shop?a=1", "ada-lovelace.com/",
        "ada-love", "ada-lovelace.co", "@example.com", "ada@exam", "lovelàce", "Exámple Ada",
    ],
)  # fmt: skip
async def test_an_address_a_name_and_a_domain_find_their_customer(
    service: Service, sold: str, text: str
) -> None:
    assert await found_by(service.pool, text) == ["ada@example.com"]


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("mueller", True), ("Müller", True), ("muller-hosting", True), ("hosting-mueller.ex", True),
        ("kontakt@hosting-m", True), ("post", True), ("kon.post", True), ("strauss", True),
        ("STRAUß", True), ("@hosting-mueller.example", True), ("example", False),
        ("ontakt", False), ("other", False),
    ],
)  # fmt: skip
async def test_what_is_between_dots_and_hyphens_of_an_address_finds_it(
    pool: Pool, text: str, is_found: bool
) -> None:
    await pool.execute(CUSTOMER)
    expected = ["kontakt.post@hosting-mueller.example"] if is_found else []
    assert await found_by(pool, text) == expected


async def test_an_address_that_is_found_whole_is_no_beginning_of_another(
    service: Service, sold: str
) -> None:
    await service.pool.execute("INSERT INTO customers (email) VALUES ('ada@example.community')")
    assert await found_by(service.pool, "ada@example.com") == ["ada@example.com"]
    assert await found_by(service.pool, "ada@example.comm") == ["ada@example.community"]


async def test_the_beginning_of_one_of_our_ids_finds_it(service: Service, sold: str) -> None:
    row = await service.row(
        "SELECT customer_id::text, tenant_id::text FROM subscriptions WHERE id::text = $1", sold
    )
    for id_ in (sold, *row.values()):
        for length in (8, 13, 20, 35):
            assert await found_by(service.pool, id_[:length]) == ["ada@example.com"]


@pytest.mark.parametrize("text", ["ontakt.p", "LLER.EX", "ßmann k", "50%"])
async def test_any_part_finds_a_customer_where_an_operator_has_made_the_index(
    pool: Pool, text: str
) -> None:
    await pool.execute(CUSTOMER)
    assert await found_by(pool, text) == []
    await pool.execute(PARTS.replace("CONCURRENTLY ", ""))
    assert await found_by(pool, text) == ["kontakt.post@hosting-mueller.example"]
    assert await found_by(pool, "5_%") == []


async def test_the_command_shows_who_it_is_and_what_they_have(
    service: Service, sold: str, database_url: str
) -> None:
    invoice = await service.row(
        "SELECT stripe_invoice_id FROM invoices WHERE subscription_id::text = $1", sold
    )
    status, out = await run(database_url, "find", invoice["stripe_invoice_id"])
    assert status == 0, out
    assert "Ada Lovelace <ada@example.com>" in out
    assert f"(invoice {invoice['stripe_invoice_id']})" in out
    assert f"subscription {sold}  starter monthly  active" in out
    assert await run(database_url, "find", "nobody", "here") == (
        1,
        "mpanel-billing: Nothing found for nobody here.\n",
    )


async def test_the_route_answers_the_same(service: Service, sold: str) -> None:
    async with service.client.get(
        FIND, params={"q": "grace", "limit": "1"}, headers=bearer(ADMIN_KEY)
    ) as response:
        body = await response.json()
    (customer,) = body["customers"]
    assert (response.status, body["hasMore"], body["objects"]) == (200, False, [])
    assert (customer["name"], customer["subscriptionCount"]) == ("Grace Hopper", 1)
    assert customer["matches"] == [{"type": "name", "id": "Grace Hopper", "subscriptionId": None}]
    assert customer["subscriptions"][0]["planId"] == "starter"


async def test_more_customers_than_asked_for_are_said_to_be_there(
    service: Service, sold: str
) -> None:
    await service.pool.execute("UPDATE customers SET name = 'Example'")
    found = await find(service.pool, "exam", 1)
    assert (len(found.customers), found.is_cut) == (1, True)


async def test_a_customers_page_has_all_that_support_needs(
    service: Service, sold: str, database_url: str
) -> None:
    assert (await run(database_url, "provision", "suspend", sold, "--reason", "abuse"))[0] == 0
    row = await service.row(
        "SELECT s.customer_id, s.stripe_subscription_id, i.stripe_number"
        " FROM subscriptions AS s JOIN invoices AS i ON i.subscription_id = s.id"
        " WHERE s.id::text = $1",
        sold,
    )
    status, out = await run(database_url, "customers", "show", "ada@example.com")
    assert status == 0, out
    for line in (
        f"Ada Lovelace <ada@example.com>  customer {row['customer_id']}",
        "starter monthly  active  $",
        f"{row['stripe_subscription_id']} active",
        "suspended by an operator: abuse",
        f"{row['stripe_number']}  paid  $",
        "subscription.suspend  by cli:",
        "ada-lovelace.com",
    ):
        assert line in out, out


async def test_a_page_is_of_one_customer(service: Service, sold: str, database_url: str) -> None:
    await service.pool.execute("UPDATE customers SET company_name = 'Analytical'")
    status, out = await run(database_url, "customers", "show", "analytical")
    assert (status, "finds several customers" in out) == (1, True), out
    status, out = await run(database_url, "customers", "show", "nobody@example.com")
    assert (status, out) == (1, "mpanel-billing: Nothing found for nobody@example.com.\n")


async def ids_that_stripe_knows(gateway: StripeGateway, service: Service, sold: str) -> list[str]:
    """Give the subscription a schedule, an item to bill and another card; return their ids."""
    row = await service.row(
        "SELECT stripe_subscription_id, stripe_customer_id FROM subscriptions WHERE id::text = $1",
        sold,
    )
    api, (subscription, customer) = gateway.client.v1, tuple(row)
    schedule = await api.subscription_schedules.create_async({"from_subscription": subscription})
    item = await api.invoice_items.create_async(
        {"customer": customer, "amount": 100, "currency": "usd"}
    )
    card = await api.payment_methods.attach_async("pm_card_mastercard", {"customer": customer})
    return [schedule.id, str(item.id), card.id]


async def test_an_id_or_a_number_that_only_stripe_finds_finds_its_customer(
    service: Service, sold: str, worker: InlineWorker, database_url: str
) -> None:
    ids = await ids_that_stripe_knows(worker.gateway, service, sold)
    await service.stripe.wait_idle(30)  # an endpoint of ours gets no events of these
    await service.pool.execute("DELETE FROM stripe_events WHERE object_id = ANY($1)", ids)
    of_sold = "SELECT stripe_number FROM invoices WHERE subscription_id::text = $1"
    ids.append(await service.pool.fetchval(of_sold, sold))
    for id_ in ids:
        assert await found_by(service.pool, id_) == []
        found = await find(service.pool, id_, 25, worker.gateway)
        assert [each.customer["email"] for each in found.customers] == ["ada@example.com"], id_
        async with service.client.get(FIND, params={"q": id_}, headers=bearer(ADMIN_KEY)) as got:
            (customer,) = (await got.json())["customers"]
        assert customer["matches"][0]["id"] == id_
    stripe_url = str(service.settings.stripe_api_base)
    for words in (("find",), ("customers", "show")):
        for id_ in (ids[0], ids[-1]):
            ended = await run_command(database_url, *words, id_, stripe_url=stripe_url)
            assert "Ada Lovelace" in ended.out, ended.err
        ended = await run_command(database_url, *words, "pm_nobodys", stripe_url=stripe_url)
        assert (ended.status, ended.err) == (
            1,
            "mpanel-billing: Nothing found for pm_nobodys.\n",
        )
