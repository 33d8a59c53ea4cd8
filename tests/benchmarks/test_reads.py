"""The reads that are measured at a million subscriptions are those that the service has now."""

from datetime import UTC, datetime
from uuid import UUID

from benchmarks import reads
from mpanel_billing.database.pool import Pool

ID = UUID(int=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = {"at": NOW, "id": ID}
PLACES = {
    "subscription": ID,
    "customer": ID,
    "tenant": ID,
    "large_customer": ID,
    "event": "evt_1",
    "entry": 1,
    "subscribed": PLACE,
    "billed": PLACE,
    "page": [ID],
    "stuck": ID,
}


async def test_every_read_is_a_statement_of_this_schema(pool: Pool) -> None:
    async with pool.acquire() as conn:
        for read in reads.all_reads(PLACES):
            async with conn.transaction():
                await conn.fetch(read.sql, *read.arguments)
