"""The database and the program round to the same amounts, and tell them in the same form."""

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


async def test_an_amount_reads_the_same_in_sql_and_in_python(pool: Pool) -> None:
    rows = await pool.fetch(
        "SELECT currency, amount, billing_money_v1(amount, currency) AS told"
        " FROM unnest($1::text[]) AS currency CROSS JOIN unnest($2::bigint[]) AS amount",
        [*sorted(money.STRIPE_CURRENCIES), "USD"],
        [0, 1, -5, 10, 799, 1000, -123_456, 99_999_999, 10**15],
    )
    for row in rows:
        assert row["told"] == money.format_money(row["amount"], row["currency"]), dict(row)
    told = {(row["currency"], row["amount"]): row["told"] for row in rows}
    assert told["usd", 799] == "$7.99"
    assert (told["jpy", 799], told["kwd", 799]) == ("\u00a5799", "0.799 KWD")
