"""The sums that `billing_mrr` and its parts read, compared with all rows, and with the ledger."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from mpanel_billing.database.pool import Pool

_FROM_SCRATCH = (Path(__file__).parent / "from_scratch.sql").read_text()


_LEDGER = """
SELECT l.livemode, l.currency, round(sum(l.change))::bigint AS mrr
FROM billing_mrr_ledger AS l
WHERE l.at <= greatest(now(), (SELECT max(s.stripe_as_of) FROM subscriptions AS s))
GROUP BY l.livemode, l.currency
"""
"""What it says of now; of lives in the future, of their latest event."""


_COUPONS = """
SELECT
    s.livemode,
    i.currency,
    coalesce(d.stripe_coupon_id, '') AS coupon,
    count(DISTINCT s.id) AS subscriptions,
    count(DISTINCT coalesce(s.customer_id, s.id)) AS customers,
    max(coalesce(d.ends_at, 'infinity')) AS ends_at
FROM subscriptions AS s
JOIN subscription_discounts AS d
    ON d.subscription_id = s.id
JOIN subscription_items AS i
    ON i.subscription_id = s.id
WHERE s.stripe_status IN ('active', 'past_due')
  AND (d.ends_at > now()) IS NOT FALSE
  AND d.duration IS DISTINCT FROM 'once'
  AND (
      d.percent_off IS NOT NULL
      OR d.currency = s.currency AND i.interval_count * CASE i.recurring_interval
          WHEN 'year' THEN 12
          WHEN 'month' THEN 1
          WHEN 'week' THEN 12 / 52.0
          WHEN 'day' THEN 12 / 365.0
      END = (
          SELECT min(o.interval_count * CASE o.recurring_interval
              WHEN 'year' THEN 12
              WHEN 'month' THEN 1
              WHEN 'week' THEN 12 / 52.0
              WHEN 'day' THEN 12 / 365.0
          END)
          FROM subscription_items AS o
          WHERE o.subscription_id = s.id
      )
  )
GROUP BY s.livemode, i.currency, coupon
"""
"""Who has which coupon, calculated over all subscriptions."""

Key = tuple[Any, ...]


async def shown_and_true_revenue(pool: Pool) -> tuple[list[Any], list[Any]]:
    """Return what the view shows, and what it is when calculated from scratch.

    What the views by product and by coupon show is checked on the way.
    """
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
        shown = await conn.fetch("SELECT livemode, currency, subscriptions, mrr FROM billing_mrr")
        products = await conn.fetch("SELECT * FROM billing_mrr_by_product")
        coupons = await conn.fetch("SELECT * FROM billing_mrr_by_coupon")
        true = await conn.fetch(_FROM_SCRATCH)
        having = await conn.fetch(_COUPONS)
        entered = await conn.fetch(_LEDGER)
    said = {(row["livemode"], row["currency"]): row["mrr"] for row in entered if row["mrr"]}
    assert said == {(row["livemode"], row["currency"]): row["mrr"] for row in shown if row["mrr"]}
    whole = [row for row in true if row["product"] is None]
    _check_products(products, [row for row in true if row["product"] is not None])
    _check_coupons(coupons, having)
    for row in whole:
        of = (row["livemode"], row["currency"])
        assert _sum(products, of, "mrr") == _rounded(row["amount"])
        taken_off = _rounded(row["gross"] - row["amount"])
        assert _sum(products, of, "taken_off") == _sum(coupons, of, "taken_off") == taken_off
    return sorted(map(tuple, shown)), sorted(
        (row["livemode"], row["currency"], row["subscriptions"], _rounded(row["amount"]))
        for row in whole
    )


def _check_products(shown: Sequence[Any], true: Sequence[Any]) -> None:
    """Each product has those who have it, and is no unit off."""
    found = _by_key(shown, "stripe_product_id")
    expected = _by_key(true, "product")
    assert found.keys() == expected.keys()
    for key, row in found.items():
        assert _counts(row) == _counts(expected[key]), key
        amount, gross = expected[key]["amount"], expected[key]["gross"]
        assert abs(row["mrr"] - amount) < 1
        assert abs(row["taken_off"] - (gross - amount)) < 1


def _check_coupons(shown: Sequence[Any], true: Sequence[Any]) -> None:
    found = _by_key(shown, "stripe_coupon_id")
    expected = _by_key(true, "coupon")
    assert found.keys() == expected.keys()
    for key, row in found.items():
        assert _counts(row) == _counts(expected[key]), key
        ends_at = expected[key]["ends_at"]
        assert row["ends_at"] == (None if ends_at.year == ENDLESS else ends_at), key


ENDLESS = 9999
"""The year of infinity, as asyncpg has it."""


def _by_key(rows: Sequence[Any], name: str) -> Mapping[Key, Any]:
    return {(row["livemode"], row["currency"], row[name]): row for row in rows}


def _counts(row: Any) -> Key:
    return row["subscriptions"], row["customers"]


def _sum(rows: Sequence[Any], of: Key, name: str) -> int:
    return sum(row[name] for row in rows if (row["livemode"], row["currency"]) == of)


def _rounded(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_HALF_UP))
