"""The tables that the console hands out as CSV: those of the command line, and work lists."""

import csv
import html
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from mpanel_billing.console.routes import csv_files
from mpanel_billing.database.pool import Pool
from tests.commands import run_command
from tests.console.conftest import Console, Ids

FIGURES = ("movements", "cohorts", "cash", "failed", "trials", "products", "coupons")
RATE = "INSERT INTO billing_exchange_rates VALUES ($1, $2, $3, 2, 'ada')"
FAILED = """
INSERT INTO stripe_charges (stripe_charge_id, livemode, stripe_payment_intent_id, amount,
    amount_captured, amount_refunded, currency, status, stripe_created, stripe_as_of_since,
    stripe_as_of)
VALUES ('ch_failed', FALSE, 'pi_failed', 2500, 0, 0, 'usd', 'failed', now(), now(), now())
"""
TRIAL = "UPDATE subscriptions SET trial_end = now() - interval '35 days'"
DISCOUNT = """
INSERT INTO subscription_discounts (subscription_id, stripe_discount_id, position, stripe_coupon_id,
    coupon_name, percent_off, duration, fetched)
SELECT id, 'di_1', 0, 'vip', '=1+1', 10, 'forever', TRUE FROM subscriptions
"""  # fmt: skip


async def offered(console: Console, *pages: str) -> dict[str, str]:
    """Return the addresses of the CSV files that pages offer, by the names of their tables."""
    links: dict[str, str] = {}
    for page in pages:
        shown = (await console.open(page)).html
        found = [html.unescape(one) for one in re.findall(r'href="([^"]+\.csv[^"]*)"', shown)]
        links |= {one.partition(".csv")[0].rpartition("/")[2]: one for one in found}
    return links


async def printed(database_url: str, *words: str) -> str:
    ended = await run_command(database_url, "figures", *words)
    assert ended.status == 0, ended.err
    return ended.out


@pytest.fixture
async def traded(pool: Pool) -> None:
    """A failed payment, a trial that is over, and a coupon whose name would be a formula."""
    for statement in (FAILED, TRIAL, DISCOUNT):
        await pool.execute(statement)


@pytest.mark.usefixtures("traded")
@pytest.mark.parametrize("into", [(), ("--in", "eur")], ids=["of one", "as one"])
async def test_each_table_is_what_the_command_line_writes(
    console: Console, pool: Pool, database_url: str, into: Sequence[str]
) -> None:
    await pool.execute(RATE, "usd", "eur", date(2020, 1, 1))
    asked = f"?in={into[1]}" if into else ""
    pages = (f"/console/figures{asked}", f"/console/figures/products{asked}")
    links = await offered(console, *pages)
    assert tuple(links) == FIGURES
    for name, link in links.items():
        words = () if name == "trials" else into
        german = {"Accept-Language": "de"}
        file = await console.open(link, **german)
        assert file.status == 200, file.text
        assert file.html == await printed(database_url, name, *words), name
        assert len(file.html.splitlines()) > 1, name
        assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
        currency = into[1] if into else "usd"
        assert file.headers["Cache-Control"] == "no-store"
        told = {"trials": "trials", "movements": f"movements-by-month-{currency}"}
        called = told.get(name, f"{name}-{currency}")
        assert file.headers["Content-Disposition"] == f'attachment; filename="{called}.csv"'


@pytest.mark.usefixtures("traded")
async def test_a_name_cannot_become_a_formula(console: Console) -> None:
    file = await console.open("/console/figures/coupons.csv?currency=usd")
    (row,) = csv.DictReader(file.html.splitlines())
    assert (row["coupon"], row["name"]) == ("vip", "'=1+1")


async def test_a_file_has_the_currency_and_the_periods_of_its_page(
    console: Console, pool: Pool, database_url: str
) -> None:
    await pool.execute(
        "INSERT INTO stripe_charges (stripe_charge_id, livemode, stripe_payment_intent_id, amount,"
        " amount_captured, amount_refunded, currency, status, stripe_created, stripe_as_of_since,"
        " stripe_as_of) VALUES ('ch_e', FALSE, 'pi_e', 5, 5, 0, 'eur', 'succeeded', now(), now(),"
        " now())"
    )
    links = await offered(console, "/console/figures?currency=usd&by=week")
    weeks = list(csv.DictReader((await console.open(links["movements"])).html.splitlines()))
    assert (len(weeks), {row["currency"] for row in weeks}) == (13, {"usd"})
    assert len(await offered(console, "/console/figures?currency=eur")) > 0
    euros = await console.open("/console/figures/cash.csv?currency=eur")
    both = (await printed(database_url, "cash")).splitlines()
    assert euros.html.splitlines() == [line for line in both if ",usd," not in line]
    assert len(both) == len(euros.html.splitlines()) + 1


async def test_a_table_that_lacks_a_rate_is_refused_instead_of_empty(
    console: Console, pool: Pool
) -> None:
    await pool.execute(RATE, "usd", "gbp", datetime.now(UTC).date() + timedelta(days=1))
    for name in ("movements", "products"):
        refused = await console.open(f"/console/figures/{name}.csv?in=gbp")
        assert (refused.status, "no rate from USD to GBP" in refused.text) == (409, True)


DISPUTE = """
INSERT INTO stripe_disputes (stripe_dispute_id, stripe_charge_id, fee, movements, livemode, amount,
    currency, reason, status, is_charge_refundable, has_evidence, submissions, evidence_due_at,
    stripe_created, stripe_as_of, stripe_as_of_since)
VALUES ($1, 'ch_1', 0, 0, FALSE, 1299, 'usd', 'fraudulent', $2, FALSE, FALSE, 0, now(), now(),
    now(), now())
"""


async def test_who_owes_and_disputes_are_files_for_bookkeepers(
    console: Console, pool: Pool, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.execute(
        "UPDATE invoices SET stripe_status = 'open', amount_remaining = 1098, amount_paid = 0,"
        " attempt_count = 2"
    )
    await pool.execute("UPDATE customers SET name = '@SUM(A1)', company_name = NULL")
    await pool.execute(DISPUTE, "du_open", "needs_response")
    await pool.execute(DISPUTE, "du_won", "won")
    links = await offered(console, "/console/debtors", "/console/disputes")
    (row,) = csv.DictReader((await console.open(links["debtors"])).html.splitlines())
    assert (row["customer_id"], row["customer"]) == (ids.customer, "'@SUM(A1)")
    assert (row["currency"], row["amount_remaining"]) == ("usd", "10.98")
    (one,) = csv.DictReader((await console.open(links["disputes"])).html.splitlines())
    assert (one["stripe_dispute_id"], one["amount"]) == ("du_open", "12.99")
    links = await offered(console, "/console/disputes?all=1")
    both = list(csv.DictReader((await console.open(links["disputes"])).html.splitlines()))
    assert {row["status"] for row in both} == {"needs_response", "won"}
    monkeypatch.setattr(csv_files, "MOST", 1)
    refused = await console.open(links["disputes"])
    assert (refused.status, "more than 1 lines" in refused.text) == (409, True)
