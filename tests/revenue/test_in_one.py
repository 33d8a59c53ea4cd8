"""Figures of several currencies as one, at rates that an operator sets."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool
from mpanel_billing.revenue.in_one import EXCHANGE, Sums, movements_in_one, rows_in_one
from mpanel_billing.revenue.movements import KINDS, Movements
from mpanel_billing.revenue.rates import MissingRateError, Rate, Rates
from tests import stripe_objects as made
from tests.commands import run_command
from tests.inbox import Inbox
from tests.revenue.histories import DAY, START
from tests.revenue.test_figures import figures

MONTHS = [date(2026, month, 1) for month in range(1, 5)]
TODAY = date(2026, 4, 20)
AMOUNTS = st.fixed_dictionaries({kind: st.integers(-9_000, 9_000) for kind in KINDS})


def rates(**since: Sequence[tuple[str, str]]) -> Rates:
    told = [
        Rate(currency, date.fromisoformat(day), Decimal(rate))
        for currency, of in since.items()
        for day, rate in of
    ]
    return Rates("usd", told, TODAY)


def series(currency: str, opening: int, moved: Sequence[Mapping[str, int]]) -> list[Movements]:
    made, nobody = [], dict.fromkeys(KINDS, 0)
    for starts_on, amounts in zip(MONTHS, moved, strict=True):
        closing = opening + sum(amounts.values())
        made.append(Movements(currency, starts_on, opening, amounts, closing, nobody, 2, 2))
        opening = closing
    return made


@given(
    euros=st.lists(AMOUNTS, min_size=4, max_size=4),
    yen=st.lists(AMOUNTS, min_size=4, max_size=4),
    dollars=st.lists(AMOUNTS, min_size=4, max_size=4),
)
def test_all_currencies_as_one_add_up(
    euros: list[dict[str, int]], yen: list[dict[str, int]], dollars: list[dict[str, int]]
) -> None:
    asked = rates(
        eur=[("2025-01-01", "1.08"), ("2026-02-10", "1.1"), ("2026-04-01", "0.97")],
        jpy=[("2025-12-31", "0.0067")],
    )
    each = [series("eur", 500, euros), series("jpy", 90_000, yen), series("usd", 7, dollars)]
    shown = list(movements_in_one([one for moved in each for one in moved], "month", asked))
    assert [one.starts_on for one in shown] == MONTHS
    assert shown[0].customers_at_closing == 6
    for one in shown:
        assert one.opening + sum(one.amounts.values()) == one.closing
    assert all(one.closing == other.opening for one, other in pairwise(shown))
    last = [moved[-1].closing for moved in each]
    exact = last[0] * Decimal("0.97") + last[1] * Decimal("0.67") + last[2]
    assert abs(shown[-1].closing - exact) <= Decimal("0.5")
    assert not asked.missing


def test_a_new_rate_is_a_movement_of_its_own() -> None:
    nothing = dict.fromkeys(KINDS, 0)
    moved = series("eur", 1000, [nothing] * 4)
    asked = rates(eur=[("2025-12-01", "1.08"), ("2026-03-15", "1.1")])
    shown = list(movements_in_one(moved, "month", asked))
    assert [one.closing for one in shown] == [1080, 1080, 1100, 1100]
    assert [one.amounts[EXCHANGE] for one in shown] == [0, 0, 20, 0]


def test_a_missing_rate_is_named_and_not_guessed() -> None:
    nothing = dict.fromkeys(KINDS, 0)
    moved = series("eur", 1000, [nothing] * 4) + series("gbp", 5, [nothing] * 4)
    asked = rates(eur=[("2026-01-10", "1.08")])
    list(movements_in_one(moved, "month", asked))
    with pytest.raises(MissingRateError, match=r"EUR to USD on 2025-12-31, .*GBP to USD on 2025"):
        asked.check()


def test_rows_are_added_up_at_the_rate_of_the_end_of_their_month() -> None:
    rows = [
        {"month": MONTHS[0], "currency": "eur", "payments": 2, "amount": 1001},
        {"month": MONTHS[0], "currency": "usd", "payments": 1, "amount": 10},
        {"month": MONTHS[3], "currency": "eur", "payments": 1, "amount": 100},
    ]
    asked = rates(eur=[("2026-01-31", "1.5"), ("2026-04-20", "2"), ("2026-04-21", "3")])
    assert rows_in_one(rows, Sums(("month",), {"amount": "month"}), asked) == [
        {"month": MONTHS[0], "currency": "usd", "payments": 3, "amount": 1512},
        {"month": MONTHS[3], "currency": "usd", "payments": 1, "amount": 200},
    ]


async def test_rates_are_set_replaced_removed_and_audited(pool: Pool, database_url: str) -> None:
    rate = ("figures", "rate")
    day = ("--from", "2026-01-01")
    told = await run_command(database_url, *rate, "set", "EUR", "USD", "1.08", *day)
    assert told.out.strip() == "1 EUR is 1.08 USD from 2026-01-01"
    told = await run_command(database_url, *rate, "set", "eur", "usd", "1.09", *day)
    assert told.out.strip() == "1 EUR is 1.09 USD from 2026-01-01, instead of 1.08"
    listed = await run_command(database_url, *rate, "list")
    assert listed.out.startswith("EUR USD  from 2026-01-01  1.09  cli:")
    assert (await run_command(database_url, *rate, "remove", "EUR", "USD", *day)).status == 0
    again = await run_command(database_url, *rate, "remove", "EUR", "USD", *day)
    assert (again.status, "no rate eur/usd/2026-01-01" in again.err) == (1, True)
    log = await pool.fetch("SELECT action, details FROM billing_audit_log ORDER BY id")
    assert [(row["action"], row["details"].get("former")) for row in log] == [
        ("rate.set", None),
        ("rate.set", "1.08"),
        ("rate.remove", None),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("EUR", "EUR", "1"), "one currency to another"),
        (("EUR", "XYZ", "1"), "XYZ is no currency"),
        (("EUR", "USD", "0"), "more than 0"),
        (("EUR", "USD", "NaN"), "must be a number"),
        (("EUR", "USD", "1,08"), "must be a number"),
        (("EUR", "USD", "1", "--from", "2026-02-30"), "must be a day"),
    ],
)
async def test_wrong_rates_are_refused(database_url: str, words: Sequence[str], said: str) -> None:
    told = await run_command(database_url, "figures", "rate", "set", *words)
    assert told.status != 0
    assert said in told.err


async def test_movements_are_printed_in_one_currency(inbox: Inbox, database_url: str) -> None:
    for number, currency in enumerate(("usd", "eur")):
        about = made.subscription(f"sub_{number}", customer=f"cus_{number}", start=START)
        about["currency"] = about["items"]["data"][0]["price"]["currency"] = currency
        at = START + number * DAY
        await inbox.deliver("customer.subscription.created", about, created=at)
    span = ("--from", "2026-05", "--to", "2026-06", "--in", "usd")
    refused = await run_command(database_url, "figures", "movements", *span)
    assert refused.status == 1
    assert "no rate from EUR to USD on 2026-05-31" in refused.err
    rate = ("figures", "rate", "set", "EUR", "USD", "2", "--from", "2026-05-31")
    assert (await run_command(database_url, *rate)).status == 0
    may, june = await figures(database_url, "movements", *span)
    assert (may["currency"], may["new"], may["closing"]) == ("usd", "23.97", "23.97")
    assert (june["opening"], june["exchange"], june["customers"]) == ("23.97", "0.00", "2")
