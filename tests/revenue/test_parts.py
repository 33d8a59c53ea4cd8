"""What each product brings and each coupon takes off, as views and commands tell it."""

import csv
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import load_queries
from mpanel_billing.revenue.movements import rounded
from mpanel_billing.revenue.parts import COUPONS, MONEY, PRODUCTS, parts_in_one
from mpanel_billing.revenue.rates import Rate, Rates
from mpanel_billing.revenue.service import fold_revenue
from tests.commands import run_command
from tests.revenue import shown_and_true_revenue

END = datetime(2099, 1, 1, tzinfo=UTC)
ADA, BOB = (f"00000000-0000-4000-8000-00000000000{n}" for n in "ab")

SOLD = """
INSERT INTO products (name, type, price, code, kind, stripe_product_id, livemode)
VALUES ('Web', 'hosting', 10, 'web', 'plan', 'prod_web', FALSE),
    ('=HYPERLINK("http://evil")', 'hosting', 5, 'mail', 'addon', 'prod_mail', FALSE);
INSERT INTO coupons (code, name, amount_off, currency, duration, stripe_coupon_id, livemode)
VALUES ('DOLLAR', 'A dollar', 100, 'usd', 'forever', 'DOLLAR', FALSE);
INSERT INTO customers (id, email)
VALUES ('00000000-0000-4000-8000-00000000000a', 'ada@example.com'),
    ('00000000-0000-4000-8000-00000000000b', 'bob@example.com');
"""
SUBSCRIPTION = """
INSERT INTO subscriptions (id, customer_id, status, billing_provider, livemode, stripe_status,
    currency, amount, price, auto_renew, stripe_as_of_since, stripe_as_of)
VALUES (md5($1)::uuid, $2, 'active', 'stripe', FALSE, $3, $4, 0, 0, FALSE, now(), now())
"""
ITEM = """
INSERT INTO subscription_items (subscription_id, stripe_subscription_item_id, quantity,
    stripe_product_id, unit_amount, currency, recurring_interval, interval_count)
SELECT s.id, 'si_' || $1 || $2, $4, $2, $3, s.currency, $5, 1
FROM subscriptions AS s WHERE s.id = md5($1)::uuid
"""
DISCOUNT = """
INSERT INTO subscription_discounts (subscription_id, stripe_discount_id, position, stripe_coupon_id,
    coupon_name, percent_off, amount_off, currency, duration, stripe_product_ids, ends_at, fetched)
VALUES (md5($1)::uuid, 'di_' || $1 || $2, $3, $2, lower($2), $4, $5, 'usd', $6, $7,
    $8::timestamptz, TRUE)
"""


async def sell(pool: Pool) -> None:
    """Ada has two plans, an add-on and a trial, Bob a plan by the year and one in euros."""
    await pool.execute(SOLD)
    for name, who, status, currency in (
        ("ada", ADA, "active", "usd"),
        ("free", ADA, "past_due", "usd"),
        ("trial", ADA, "trialing", "usd"),
        ("bob", BOB, "active", "usd"),
        ("euro", BOB, "active", "eur"),
    ):
        await pool.execute(SUBSCRIPTION, name, who, status, currency)
        term, amount = ("year", 12_000) if name == "bob" else ("month", 1_000)
        await pool.execute(ITEM, name, "prod_web", amount, 1, term)
    await pool.execute(ITEM, "ada", "prod_mail", 250, 2, "month")
    await pool.execute(DISCOUNT, "ada", "TEN", 0, 10, None, "forever", None, None)
    await pool.execute(DISCOUNT, "ada", "DOLLAR", 1, None, 100, "forever", ["prod_mail"], None)
    await pool.execute(DISCOUNT, "ada", "ONCE", 2, 50, None, "once", None, None)
    await pool.execute(DISCOUNT, "free", "TEN", 0, 100, None, "repeating", None, END)


def of_usd(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row.pop("currency") == "usd"]


async def printed(database_url: str, *words: str) -> list[dict[str, str]]:
    ended = await run_command(database_url, "figures", *words)
    assert ended.status == 0, ended.err
    return list(csv.DictReader(ended.out.splitlines()))


WEB = {
    "kind": "plan", "product": "web", "name": "Web", "subscriptions": "3", "customers": "2",
    "mrr": "19.00", "taken_off": "11.00",
}  # fmt: skip
MAIL = {
    "kind": "addon", "product": "mail", "name": """'=HYPERLINK("http://evil")""",
    "subscriptions": "1", "customers": "1", "mrr": "3.50", "taken_off": "1.50",
}  # fmt: skip
TEN = {
    "coupon": "TEN", "name": "ten", "subscriptions": "2", "customers": "1", "taken_off": "11.50",
    "mrr": "12.50", "ends_at": "",
}  # fmt: skip
DOLLAR = {
    "coupon": "DOLLAR", "name": "A dollar", "subscriptions": "1", "customers": "1",
    "taken_off": "1.00", "mrr": "12.50", "ends_at": "",
}  # fmt: skip


@pytest.mark.parametrize("is_folded", [False, True])
async def test_what_brings_and_what_costs_is_printed(
    pool: Pool, database_url: str, is_folded: bool
) -> None:
    await sell(pool)
    if is_folded:
        await fold_revenue(pool)
    assert of_usd(await printed(database_url, "products")) == [WEB, MAIL]
    coupons = await printed(database_url, "coupons")
    assert of_usd(coupons) == [TEN, DOLLAR]
    as_json = await run_command(database_url, "figures", "coupons", "--json")
    assert [row["taken_off"] for row in json.loads(as_json.out)] == [1150, 100]


async def test_an_items_own_discount_is_taken_off_its_product_alone(
    pool: Pool, database_url: str
) -> None:
    await sell(pool)
    await pool.execute(DISCOUNT, "ada", "HALF", 3, 50, None, "forever", None, None)
    await pool.execute(
        "UPDATE subscription_discounts SET position = -1, stripe_subscription_item_id ="
        " 'si_adaprod_mail' WHERE stripe_coupon_id = 'HALF'"
    )
    # mail: 5.00, half of it, less a tenth, less a dollar
    web, mail = of_usd(await printed(database_url, "products"))
    assert (web["mrr"], mail["mrr"], mail["taken_off"]) == ("19.00", "1.25", "3.75")
    taken_off = {row["coupon"]: row["taken_off"] for row in await printed(database_url, "coupons")}
    assert taken_off == {"TEN": "11.25", "HALF": "2.50", "DOLLAR": "1.00"}
    await shown_and_true_revenue(pool)


async def test_a_coupon_says_when_the_last_of_it_ends(pool: Pool, database_url: str) -> None:
    await sell(pool)
    await fold_revenue(pool)
    await pool.execute("DELETE FROM subscription_discounts WHERE stripe_discount_id = 'di_adaTEN'")
    for _ in range(2):
        (ten, _) = await printed(database_url, "coupons")
        assert (ten["subscriptions"], ten["ends_at"][:10]) == ("1", "2099-01-01")
        await fold_revenue(pool)


async def test_a_customer_counts_once_whoever_gets_a_subscription(pool: Pool) -> None:
    await sell(pool)
    await fold_revenue(pool)
    await pool.execute("UPDATE subscriptions SET customer_id = $1", ADA)
    for _ in range(2):
        await shown_and_true_revenue(pool)
        assert {row["customers"] for row in await pool.fetch(LISTED)} == {1}
        await fold_revenue(pool)


LISTED = "SELECT customers FROM billing_mrr_by_product WHERE code = 'web'"


async def test_all_currencies_are_printed_as_one(pool: Pool, database_url: str) -> None:
    await sell(pool)
    refused = await run_command(database_url, "figures", "products", "--in", "usd")
    assert (refused.status, "no rate from EUR to USD" in refused.err) == (1, True)
    rate = ("figures", "rate", "set", "EUR", "USD", "1.5", "--from", "2026-01-01")
    assert (await run_command(database_url, *rate)).status == 0
    web, mail = await printed(database_url, "products", "--in", "usd")
    assert (web["mrr"], web["subscriptions"], web["customers"]) == ("34.00", "4", "3")
    assert mail["mrr"] == "3.50"
    assert [row["coupon"] for row in await printed(database_url, "coupons", "--in", "usd")] == [
        "TEN",
        "DOLLAR",
    ]


AMOUNTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["usd", "eur"]), st.integers(0, 9_999)),
    unique_by=lambda row: row[:2],
)


@given(AMOUNTS)
def test_parts_as_one_add_up(amounts: list[tuple[str, str, int]]) -> None:
    rates = Rates("usd", [Rate("eur", date(2026, 1, 1), Decimal("1.0837"))], date(2026, 4, 20))
    rows: list[dict[str, Any]] = [
        {
            "product": name, "coupon": name, "currency": currency, "subscriptions": 1,
            "customers": 1, "mrr": amount, "taken_off": amount // 7, "ends_at": None,
        }
        for name, currency, amount in amounts
    ]  # fmt: skip
    for parts in (PRODUCTS, COUPONS):
        shown = parts_in_one(rows, parts, rates)
        assert len(shown) == len({row["product"] for row in rows})
        assert [row[parts.first] for row in shown] == sorted(
            (row[parts.first] for row in shown), reverse=True
        )
        for name in MONEY:
            each = [rates.convert(row[name], row["currency"], rates.today) for row in rows]
            assert sum(row[name] for row in shown) == rounded(sum(each, Decimal(0)))


MANY = """
INSERT INTO subscriptions (id, customer_id, status, billing_provider, livemode, stripe_status,
    currency, amount, price, auto_renew, stripe_as_of_since, stripe_as_of)
SELECT md5('s' || n)::uuid, $1, 'active', 'stripe', FALSE, 'active', 'usd', 0, 0, FALSE, now(),
    now()
FROM generate_series(1, 5000) AS n
"""
MANY_ITEMS = """
INSERT INTO subscription_items (subscription_id, stripe_subscription_item_id, quantity,
    stripe_product_id, unit_amount, currency, recurring_interval, interval_count)
SELECT md5('s' || n)::uuid, 'si_' || n, 1, 'prod_' || n % 20, 799, 'usd', 'month', 1
FROM generate_series(1, 5000) AS n
"""
MANY_DISCOUNTS = """
INSERT INTO subscription_discounts (subscription_id, stripe_discount_id, position, stripe_coupon_id,
    percent_off, duration, fetched)
SELECT md5('s' || n)::uuid, 'di_' || n, 0, 'of_' || n % 20, 10, 'forever', TRUE
FROM generate_series(1, 5000) AS n
"""
MANY_KEPT = """
INSERT INTO billing_revenue (subscription_id, currency, kind, stripe_id, livemode, customer_id,
    amount, taken_off, ends_at, changes_at)
SELECT md5('s' || n)::uuid, 'usd', kind, CASE WHEN kind <> 'all' THEN 'of_' || n % 20 ELSE '' END,
    FALSE, $1, 799, 1, CASE WHEN kind = 'coupon' THEN now() END,
    CASE WHEN kind = 'all' AND n % 20 = 0 THEN now() + interval '1 day' END
FROM generate_series(1, 5000) AS n, unnest(ARRAY['all', 'product', 'coupon']) AS kind
"""
GROWING = r"Seq Scan on (?:subscription\w*|billing_revenue\b(?!_))"
READ = (("figures", "list_products"), ("figures", "list_coupons"), ("revenue", "fold_changes"))


async def test_no_table_that_grows_is_read_from_end_to_end(pool: Pool) -> None:
    await pool.execute(SOLD)
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(MANY, ADA)
        await conn.execute(MANY_ITEMS)
        await conn.execute(MANY_DISCOUNTS)
        await conn.execute(MANY_KEPT, ADA)
        await conn.execute("ANALYZE")
        for file, name in READ:
            query = load_queries(file).by_name[name]
            await conn.execute(f"PREPARE asked AS {query.sql}")
            rows = await conn.fetch("EXPLAIN EXECUTE asked(NULL)")
            await conn.execute("DEALLOCATE asked")
            plan = "\n".join(row[0] for row in rows)
            assert not re.search(GROWING, plan), plan
