"""The database and the program round to the same amounts."""

from decimal import Decimal

from mpanel_billing import money
from mpanel_billing.database.pool import Pool

AMOUNTS = [
    Decimal(text) for text in ("0", "4.5", "5", "14.99", "15", "149.5", "150", "1255", "9999")
]


async def test_what_can_be_charged_is_the_same_in_sql_and_in_python(pool: Pool) -> None:
    rows = await pool.fetch(
        "SELECT currency, amount, billing_chargeable_v1(amount, currency) AS rounded"
        " FROM unnest($1::text[]) AS currency CROSS JOIN unnest($2::numeric[]) AS amount",
        sorted(money.STRIPE_CURRENCIES),
        AMOUNTS,
    )
    assert len(rows) == len(money.STRIPE_CURRENCIES) * len(AMOUNTS)
    for row in rows:
        wanted = money.round_to_step(row["amount"], row["currency"])
        assert row["rounded"] == wanted, dict(row)
