"""Rows of any age to prune."""

from dataclasses import dataclass

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.retention.repository import Ages

AGES = Ages(
    event_payloads=90,
    events=400,
    provisioning_log=365,
    idempotency_keys=1,
    job_log=7,
    messages=90,
    unpaid_orders=90,
    access_data=30,
    usage=400,
    meter_events=400,
)

_EVENTS = """
INSERT INTO stripe_events (id, type, created, livemode, object_id, payload, status, last_error,
    received_at, applied_at)
SELECT
    format('evt_%s_%s_%s', $1::text, $2::float8, n),
    'invoice.paid',
    now() - make_interval(secs => $2::float8 * 86400),
    FALSE,
    'in_' || n,
    jsonb_build_object('data', n),
    $1::text,
    CASE WHEN $1::text = 'failed' THEN 'why' END,
    now() - make_interval(secs => $2::float8 * 86400) + make_interval(secs => n / 1000.0),
    CASE WHEN $1::text IN ('applied', 'stale') THEN now() END
FROM generate_series(1, $3::integer) AS n
"""


@dataclass(frozen=True)
class Cellar:
    """Puts old rows into the database, and counts what is left."""

    pool: Pool

    async def put_events(self, days: float, *, status: str = "applied", count: int = 1) -> None:
        """Keep events that were received so many days ago."""
        await self.pool.execute(_EVENTS, status, float(days), count)

    async def count(self, table: str, condition: str = "TRUE") -> int:
        """Count the rows of a table."""
        number: int = await self.pool.fetchval(f"SELECT count(*) FROM {table} WHERE {condition}")
        return number


@pytest.fixture
def cellar(pool: Pool) -> Cellar:
    return Cellar(pool)
