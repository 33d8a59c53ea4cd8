"""The page of figures, and where the bars of its charts stand."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from mpanel_billing.console.charts import HEIGHT, Part, stacked
from mpanel_billing.database.pool import Pool
from tests import stripe_objects as made
from tests.console.conftest import Console
from tests.inbox import Inbox


async def test_the_figures_are_drawn_and_told(console: Console) -> None:
    shown = await console.open("/console/figures")
    assert shown.status == 200
    for part in ("Monthly recurring revenue", "How it changed", "Who stayed", "Cash", "Collected"):
        assert part in shown.text, part
    assert 'class="new"' in shown.html
    assert "<script>" not in shown.html
    assert len(shown.html.encode()) < 60_000
    for by in ("week", "day", "nothing"):
        assert (await console.open(f"/console/figures?by={by}&currency=none")).status == 200


async def test_all_currencies_are_shown_as_one_at_the_rates_that_are_set(
    console: Console, pool: Pool
) -> None:
    put = "INSERT INTO billing_exchange_rates VALUES ('usd', $1, $2, 2, 'ada')"
    await pool.execute(put, "eur", date(2020, 1, 1))
    await pool.execute(put, "gbp", datetime.now(UTC).date() + timedelta(days=1))
    dollars = await console.open("/console/figures")
    (mrr,) = re.findall(r"<strong>\$([\d.]+)</strong>", dollars.html)
    euros = await console.open("/console/figures?in=eur")
    assert f"<strong>€{Decimal(mrr) * 2}</strong>" in euros.html
    assert "Rates" in euros.text
    missing = await console.open("/console/figures?in=gbp")
    assert "There is no rate from USD to GBP on" in missing.text
    assert "<strong>" not in missing.html


async def test_the_currency_in_which_most_pay_is_shown_first(
    console: Console, inbox: Inbox
) -> None:
    for number in (8, 9):
        sold = made.subscription(f"sub_{number}", customer=f"cus_{number}")
        sold["currency"] = sold["items"]["data"][0]["price"]["currency"] = "zar"
        await inbox.deliver("customer.subscription.created", sold, created=1_790_000_000)
    for page in ("/console/figures", "/console/figures/products"):
        shown = await console.open(page)
        assert re.findall(r'aria-current="true">([A-Z]{3})<', shown.html) == ["ZAR"], page
    await console.service.pool.execute(
        "UPDATE subscriptions SET trial_end = now() - interval '1 hour'"
    )
    assert "Trials, in all currencies" in (await console.open("/console/figures")).text


DISCOUNT = """
INSERT INTO subscription_discounts (subscription_id, stripe_discount_id, position, stripe_coupon_id,
    coupon_name, percent_off, duration, fetched)
SELECT id, 'di_1', 0, 'vip', '<b>VIP', 100, 'forever', TRUE FROM subscriptions
"""


async def test_what_brings_the_revenue_is_shown_with_what_coupons_take_off(
    console: Console, pool: Pool
) -> None:
    page = "/console/figures/products"
    assert page in (await console.open("/console/figures")).links
    shown = await console.open(page)
    mrr = await pool.fetchval("SELECT mrr FROM billing_mrr")
    assert f"Together ${Decimal(mrr) / 100} $0.00" in shown.text
    assert re.search(r"\d\.\d %", shown.text)
    assert "No coupon takes anything off." in shown.text
    assert "/console/catalogue" in shown.links
    await pool.execute(DISCOUNT)
    shown = await console.open(page)
    assert f"Together $0.00 ${Decimal(mrr) / 100}" in shown.text
    assert "&lt;b&gt;VIP" in shown.html
    assert "forever" in shown.text
    await pool.execute("INSERT INTO billing_exchange_rates VALUES ('usd', 'eur', $1, 2, 'ada')",
        date(2020, 1, 1))  # fmt: skip
    euros = await console.open(f"{page}?in=eur", **{"Accept-Language": "de"})
    assert f"Zusammen 0.00 € {Decimal(mrr) / 50} €" in euros.text.replace(",", ".")
    await pool.execute("DELETE FROM subscriptions")
    assert "Nothing is charged regularly yet." in (await console.open(page)).text


async def test_the_figures_are_told_in_german(console: Console) -> None:
    shown = await console.open("/console/figures", **{"Accept-Language": "de"})
    assert "Monatlich wiederkehrender Umsatz" in shown.text


def test_parts_are_stacked_away_from_the_line() -> None:
    won, lost = Part("new", 30, "won"), Part("churn", -10, "lost")
    chart = stacked({"one": [won, Part("expansion", 10, "more"), lost], "two": [lost]})
    new, more, gone, other = chart.bars
    assert chart.line == HEIGHT * 0.8
    assert (new.y + new.height, more.y + more.height) == (chart.line, new.y)
    assert (gone.y, gone.height) == (other.y, other.height) == (chart.line, HEIGHT * 0.2)
    assert new.x == gone.x < other.x


def test_nothing_is_drawn_of_nothing() -> None:
    assert stacked({}).bars == []
    assert stacked({"one": [Part("new", 0, "")]}).bars == []
