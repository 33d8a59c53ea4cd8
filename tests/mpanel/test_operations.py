"""docs/operations.md: every query in it runs, and answers the question above it."""

import re
from typing import Any

import asyncpg
import pytest

from mpanel_billing.resources import ROOT
from tests.mpanel.databases import HERE, connected

SECTION = re.compile(r"^## (\d+)\. .*?(?=^## )", re.MULTILINE | re.DOTALL)
QUERY = re.compile(r"```sql\n(.*?)```", re.DOTALL)
QUERIES = [
    (int(section[1]), query)
    for section in SECTION.finditer((ROOT / "docs" / "operations.md").read_text())
    for query in QUERY.findall(section[0])
]

MORE = """
UPDATE customers SET email = 'Ada@Example.com' WHERE email = 'buyer-5@example.com';
UPDATE subscriptions SET metadata = '{"planId": "starter", "domainValue": "ada.com"}',
    customer_id = (SELECT id FROM customers WHERE email = 'Ada@Example.com')
WHERE stripe_subscription_id IN ('sub_5', 'sub_6');
UPDATE invoices SET paid_date = '2026-05-05' WHERE stripe_status = 'paid';
INSERT INTO subscriptions (status, billing_provider, livemode, currency, amount, price, auto_renew,
    checkout_session_id)
VALUES ('expired', 'stripe', TRUE, 'usd', 799, 7.99, FALSE, 'cs_left');
INSERT INTO checkout_sessions (subscription_id, attempt, stripe_session_id, livemode, params,
    status, recovery_url)
SELECT id, 1, 'cs_left', TRUE, '{}', 'expired', 'https://buy.stripe.com/r/1' FROM subscriptions
WHERE checkout_session_id = 'cs_left';
"""


@pytest.fixture
async def busy_url(database_url: str) -> str:
    async with connected(database_url) as connection:
        await connection.execute("SET billing.subscriptions = 200")
        await connection.execute((HERE / "many_rows.sql").read_text())
        await connection.execute(MORE)
    return database_url


def test_there_is_a_query_for_each_of_the_ten_questions() -> None:
    assert {number for number, _ in QUERIES} == set(range(1, 11))


async def test_each_query_finds_what_is_there_to_be_found(busy_url: str) -> None:
    found: dict[int, list[asyncpg.Record]] = {}
    async with connected(busy_url) as connection:
        for number, query in QUERIES:
            found[number] = await connection.fetch(query)
            assert found[number], query
    assert [row["stripe_subscription_id"] for row in found[4]] == ["sub_5", "sub_6"]
    assert found[3][0]["amount_remaining"] == 799
    assert found[5][0]["error"] == "Traceback"
    assert _only(found[9])["domain"] == "ada.com"
    assert _only(found[10])["recovery_url"].endswith("/1")
    assert len(found[8]) == 200
    assert sum(row["subscriptions"] for row in found[6]) == 199


async def test_on_a_database_without_anything_of_ours_they_find_nothing(database_url: str) -> None:
    async with connected(database_url) as connection:
        for _, query in QUERIES:
            assert await connection.fetch(query) == []


def _only(rows: list[Any]) -> Any:
    assert len(rows) == 1
    return rows[0]
