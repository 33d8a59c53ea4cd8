"""The sum that `billing_mrr` reads, compared with one over all subscriptions."""

from pathlib import Path
from typing import Any

from mpanel_billing.database.pool import Pool

_FROM_SCRATCH = (Path(__file__).parent / "from_scratch.sql").read_text()


async def shown_and_true_revenue(pool: Pool) -> tuple[list[Any], list[Any]]:
    """Return what the view shows, and what it is when calculated from scratch."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
        shown = await conn.fetch("SELECT livemode, currency, subscriptions, mrr FROM billing_mrr")
        true = await conn.fetch(_FROM_SCRATCH)
    return sorted(map(tuple, shown)), sorted(map(tuple, true))
