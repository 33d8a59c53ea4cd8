"""`mpanel-billing catalog`, as it is typed."""

import asyncio
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mpanel_billing.catalogue.file import CatalogueFileError, parse_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import (
    CatalogueChangedError,
    apply_catalogue,
    preview_catalogue,
)
from mpanel_billing.cli.catalog import UnconfirmedError, app
from mpanel_billing.database.pool import Pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from stripe_sandbox import SandboxConfig, running_sandbox
from tests.commands import run_command
from tests.currencies import SHOP
from tests.processes import SERVICE, service_environment

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


def test_a_file_with_currencies_says_what_each_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "currencies.toml"
    file.write_text(SHOP)
    result = CliRunner().invoke(app, ["check", str(file)])
    assert result.exit_code == 0
    assert result.output.splitlines()[1:] == [
        "in jpy: all but local, BUCK",
        "in kwd: all but tried, local, domain-net, BUCK",
    ]


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
        "coupon WELCOME10: 10 % off, once, only for starter, from $50.00, 100 orders, "
        "1 per customer, first order only, until 2031-05-01T00:00:00+00:00, not in stripe"
    ) in run("show").output
    [coupon] = json.loads(run("show", "--json").output)["coupons"]
    assert (coupon["max_redemptions"], coupon["minimum_amount"]) == (100, 5000)


def test_what_changes_is_named(run: Run, tmp_path: Path) -> None:
    run("apply")
    text = DEFAULT_CATALOGUE.read_text().replace("monthly = 799, annually", "annually")
    (tmp_path / "my.toml").write_text(text.replace("annually = 4188", "annually = 4288"))
    output = run("apply", "my.toml").output
    assert "  price premium_annually_usd: $41.88 -> $42.88\n" in output
    assert "  price starter_monthly_usd: $7.99 -> not sold\n" in output


def test_a_dry_run_names_old_and_new_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    edits = {
        "monthly = 799, annually": "quarterly = 2000, annually",
        "annually = 4188": "annually = 4288",
        "trial_days = 14": "trial_days = 7",
        "percent_off = 10": "percent_off = 12.5",
    }
    (tmp_path / "my.toml").write_text(edited(list(edits.items())))
    assert "price starter_monthly_usd: not sold -> $7.99\n" in run("apply", "--dry-run").output
    run("apply")
    lines = run("apply", "my.toml", "--dry-run").output.splitlines()
    assert "price starter_monthly_usd: $7.99 -> not sold" in lines
    assert "price starter_quarterly_usd: not sold -> $20.00" in lines
    assert "price premium_annually_usd: $41.88 -> $42.88" in lines
    assert "product starter: trial_days 14 -> 7" in lines
    assert "coupon WELCOME10: percent_off 10.00 -> 12.50" in lines
    assert lines[-1] == "nothing was changed"
    assert len(lines) == 6
    assert run("apply", "--dry-run").output == "nothing was changed\n"


PRICES = "monthly = 899, annually = 4188, biennially = 7176, triennially = 8964"
SLIGHTLY_RAISED = "monthly = 900, annually = 4190, biennially = 7180, triennially = 8970"

DOUBTFUL = {
    "more than half up": (
        [("monthly = 799,", "monthly = 1199,")],
        "starter_monthly_usd: $7.99 -> $11.99 is a change by more than half",
    ),
    "more than half down": (
        [("monthly = 799,", "monthly = 399,")],
        "starter_monthly_usd: $7.99 -> $3.99 is a change by more than half",
    ),
    "no longer free": (
        [("{ monthly = 0,", "{ monthly = 1,")],
        "student_monthly_usd: $0.00 -> $0.01 is a change by more than half",
    ),
    "more than a tenth": (
        [
            (PRICES, SLIGHTLY_RAISED),
            ("monthly = 799, annually = 2988", "monthly = 800, annually = 2990"),
        ],
        "6 of 51 prices change or go",
    ),
    "gone": (
        [
            (PRICES, "monthly = 899"),
            ("monthly = 799, annually = 2988, ", ""),
            ("monthly = 150,", ""),
        ],
        "6 of 51 prices change or go",
    ),
}


def edited(replacements: list[tuple[str, str]]) -> str:
    text = DEFAULT_CATALOGUE.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_may_be_a_mistake_is_refused_in_a_script_unless_it_says_yes(
    run: Run, tmp_path: Path, name: str
) -> None:
    replacements, doubt = DOUBTFUL[name]
    run("apply")
    (tmp_path / "my.toml").write_text(edited(replacements))
    before = run("show").output
    assert f"apply would ask: {doubt}\n" in run("apply", "my.toml", "--dry-run").output
    with pytest.raises(UnconfirmedError, match=re.escape(doubt)):
        run("apply", "my.toml")
    assert run("show").output == before
    assert run("apply", "my.toml", "--yes").exit_code == 0
    assert run("show").output != before


def test_half_a_price_or_a_tenth_of_the_prices_is_applied_without_asking(
    run: Run, tmp_path: Path
) -> None:
    run("apply")
    (tmp_path / "my.toml").write_text(
        edited([("monthly = 799,", "monthly = 1198,"), (PRICES, SLIGHTLY_RAISED)])
    )
    assert "prices: 0 created, 5 changed" in run("apply", "my.toml").output


@pytest.mark.parametrize(("answer", "applied"), [("y", True), ("n", False), ("", False)])
async def test_on_a_terminal_it_asks(
    database_url: str, tmp_path: Path, answer: str, *, applied: bool
) -> None:
    (tmp_path / "my.toml").write_text(edited(DOUBTFUL["gone"][0]))
    await run_command(database_url, "catalog", "apply")
    keyboard, terminal = os.openpty()
    os.write(keyboard, f"{answer}\n".encode())
    words = ["catalog", "apply", str(tmp_path / "my.toml")]
    process = await asyncio.create_subprocess_exec(
        *SERVICE,
        *words,
        env={"PATH": os.environ["PATH"], **service_environment(database_url, "http://none")},
        stdin=terminal,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    os.close(keyboard)
    os.close(terminal)
    assert b"6 of 51 prices change or go" in out
    assert (process.returncode == 0, b"prices: 0 created" in out) == (applied, applied)


async def test_an_edit_is_applied_as_it_was_shown_or_not_at_all(
    pool: Pool, shipped: CatalogueFile
) -> None:
    expected = await preview_catalogue(pool, shipped)
    other = parse_catalogue(edited(DOUBTFUL["more than half up"][0]))
    await apply_catalogue(pool, other)
    with pytest.raises(CatalogueChangedError, match="run this again"):
        await apply_catalogue(pool, shipped, expected=expected)
    assert (await preview_catalogue(pool, other)).prices == ()


def test_catalogue_file_names_the_catalogue(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ours.toml").write_text(edited([("monthly = 799,", "monthly = 777,")]))
    monkeypatch.setenv("CATALOGUE_FILE", "ours.toml")
    assert run("check").output.startswith("ours.toml: 7 plans")
    run("apply")
    assert "$7.77" in run("show").output
    monkeypatch.setenv("CATALOGUE_FILE", "missing.toml")
    with pytest.raises(CatalogueFileError, match=r"missing\.toml:1: cannot be read"):
        run("apply")


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
