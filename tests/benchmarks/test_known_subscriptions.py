"""The subscriptions that benchmarks begin with are as the service writes them."""

import asyncpg

from benchmarks.webhooks import ROWS


async def test_what_is_derived_of_them_is_what_they_have(database_url: str) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute("SELECT set_config('billing.subscriptions', '2', FALSE)")
        await conn.execute(ROWS.read_text())
        before = await conn.fetch("SELECT subscription_id, version, inputs FROM provisioning_work")
        ids = [row["subscription_id"] for row in before]
        derived = await conn.fetch("SELECT * FROM billing_derive_v1('{}', $1)", ids)
        after = await conn.fetch("SELECT subscription_id, version, inputs FROM provisioning_work")
    finally:
        await conn.close()
    assert sorted(after) == sorted(before)
    assert {row["work_version"] for row in derived} <= {None}
