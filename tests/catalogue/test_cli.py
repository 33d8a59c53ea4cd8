"""`mpanel-billing catalog`, as it is typed."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mpanel_billing.catalogue.file import CatalogueFileError
from mpanel_billing.cli.catalog import app
from mpanel_billing.resources import DEFAULT_CATALOGUE
from stripe_sandbox import SandboxConfig, running_sandbox

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, catch_exceptions=False)

    return run


def test_a_right_file_is_counted() -> None:
    result = CliRunner().invoke(app, ["check", str(DEFAULT_CATALOGUE)])
    assert result.exit_code == 0
    assert "7 plans, 6 add-ons, 4 domains, 0 fees, 1 coupons: ok" in result.output


def test_a_wrong_file_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(DEFAULT_CATALOGUE.read_text().replace("monthly = 899", "monthly = 8.99"))
    result = CliRunner().invoke(app, ["check", str(wrong)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"{wrong}:55: plans[2].prices.monthly: "
        "must be a whole number of minor units (1299 for $12.99), not 8.99\n"
    )


def test_a_wrong_file_is_not_applied(run: Run, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("currency = 'usd'")
    with pytest.raises(CatalogueFileError, match=r"wrong\.toml:1: plans: is missing"):
        run("apply", "wrong.toml")
    assert json.loads(run("show", "--json").output)["products"] == []


def test_the_shipped_catalogue_is_applied_and_shown(run: Run) -> None:
    applied = run("apply")
    assert "products: 17 created, 0 changed, 0 retired, 0 unchanged" in applied.output
    assert "prices: 51 created" in applied.output
    assert "prices: 0 created, 0 changed, 0 retired, 51 unchanged" in run("apply").output
    table = run("show").output
    [starter] = [line for line in table.splitlines() if " starter " in line]
    amounts = "$7.99 $29.88 $47.76 $53.64"
    assert starter.split() == f"plan starter Starter 14 days {amounts} 0 of 4".split()
    assert "coupon WELCOME10: 10 % off, once, not in stripe" in table


def test_the_limits_of_a_coupon_are_shown(run: Run, tmp_path: Path) -> None:
    limits = """percent_off = 10
max_redemptions = 100
max_per_customer = 1
first_order_only = true
expires_at = 2031-05-01T00:00:00Z
products = ["starter"]
minimum_amount = 5000
"""
    text = DEFAULT_CATALOGUE.read_text()
    (tmp_path / "my.toml").write_text(text.replace("percent_off = 10", limits))
    run("apply", "my.toml")
    assert (
        "coupon WELCOME10: 10 % off, once, off starter, from $50.00, 100 orders, 1 per customer, "
        "first order only, until 2031-05-01T00:00:00+00:00, not in stripe"
    ) in run("show").output
    [coupon] = json.loads(run("show", "--json").output)["coupons"]
    assert (coupon["max_redemptions"], coupon["minimum_amount"]) == (100, 5000)


def test_what_changes_is_named(run: Run, tmp_path: Path) -> None:
    run("apply")
    text = DEFAULT_CATALOGUE.read_text().replace("monthly = 799, annually", "annually")
    (tmp_path / "my.toml").write_text(text.replace("annually = 4188", "annually = 4288"))
    output = run("apply", "my.toml").output
    assert "  changed premium_annually_usd\n" in output
    assert "  retired starter_monthly_usd\n" in output


def test_the_catalogue_is_pushed_and_shown_as_json(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("apply")

    async def push() -> Result:
        async with running_sandbox(SandboxConfig()) as sandbox:
            monkeypatch.setenv("STRIPE_API_BASE", sandbox.url)
            monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_1")
            monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_1")
            monkeypatch.setenv("APP_URL", "http://localhost:4242")
            return await asyncio.to_thread(run, "push")

    assert "stripe: 69 created, 0 updated, 0 retired" in asyncio.run(push()).output
    shown = json.loads(run("show", "--json").output)
    assert shown["currency"] == "usd"
    prices = [price for product in shown["products"] for price in product["prices"]]
    assert all(price["stripe_price_id"].startswith("price_") for price in prices)
    assert shown["coupons"][0]["stripe_coupon_id"] == "WELCOME10"
