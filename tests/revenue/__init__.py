"""The sum that `billing_mrr` reads, compared with one over all rows, and with the ledger."""

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


async def shown_and_true_revenue(pool: Pool) -> tuple[list[Any], list[Any]]:
    """Return what the view shows, and what it is when calculated from scratch."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
        shown = await conn.fetch("SELECT livemode, currency, subscriptions, mrr FROM billing_mrr")
        true = await conn.fetch(_FROM_SCRATCH)
        entered = await conn.fetch(_LEDGER)
    said = {(row["livemode"], row["currency"]): row["mrr"] for row in entered if row["mrr"]}
    assert said == {(row["livemode"], row["currency"]): row["mrr"] for row in shown if row["mrr"]}
    return sorted(map(tuple, shown)), sorted(map(tuple, true))
