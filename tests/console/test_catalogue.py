"""The catalogue in the console: what is sold, who pays it, and edits that are only tried."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.console.routes import catalogue
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import Settings
from tests.console.conftest import KEY, Console, Ids, make_console
from tests.service import AppClient, Service

TEXT = DEFAULT_CATALOGUE.read_text()
DEARER = TEXT.replace("monthly = 799,", "monthly = 899,", 1)


async def test_what_is_sold_is_shown_by_kind_with_who_pays_it(console: Console, ids: Ids) -> None:
    plans = await console.open("/console/catalogue")
    assert "The database sells what it says." in plans.text
    assert "WELCOME10" in plans.text
    row = await console.service.row(
        "SELECT p.id, p.lookup_key, p.unit_amount FROM subscription_items AS i"
        " JOIN prices AS p ON p.id = i.price_id JOIN products AS o ON o.id = p.product_id"
        " WHERE o.kind = 'plan'"
    )
    path = f"/console/catalogue/prices/{row['id']}"
    assert re.search(rf'href="{path}">1</a>', plans.html)
    price = await console.open(path)
    assert f"/console/subscriptions/{ids.subscription}" in price.links
    assert f"/console/customers/{ids.customer}" in price.links
    domains = await console.open("/console/catalogue?kind=domain")
    assert ".com" in domains.text
    assert row["lookup_key"] not in domains.text
    assert (await console.open(f"{path}?after=nonsense")).status == 422
    assert (await console.open(f"/console/catalogue/prices/{ids.invoice}")).status == 404


async def test_of_a_price_that_many_pay_all_are_counted_once_somebody_asks(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MOST_COUNTED_OF_ONE", 0)
    price = await console.service.pool.fetchval(
        "SELECT price_id FROM subscription_items WHERE price_id IS NOT NULL LIMIT 1"
    )
    path = f"/console/catalogue/prices/{price}"
    shown = await console.open(path)
    assert "more than 0 · count them all" in shown.text
    assert f'href="{path}?count=all"' in shown.html
    counted = await console.open(f"{path}?count=all")
    assert "Who pays it 1" in counted.text
    assert "count them all" not in counted.text


async def test_a_price_that_is_no_longer_sold_is_shown_while_somebody_pays_it(
    console: Console,
) -> None:
    pool = console.service.pool
    paid = await pool.fetchval(
        "SELECT p.lookup_key FROM subscription_items AS i JOIN prices AS p ON p.id = i.price_id"
        " JOIN products AS o ON o.id = p.product_id WHERE o.kind = 'plan'"
    )
    amount = await pool.fetchval("SELECT unit_amount FROM prices WHERE lookup_key = $1", paid)
    await apply_catalogue(pool, parse_catalogue(TEXT.replace(f"= {amount},", f"= {amount + 100},")))
    shown = await console.open("/console/catalogue")
    rows = re.findall(
        rf"<tr>(?:(?!</tr>).)*<small>{paid}<(?:(?!</tr>).)*</tr>", shown.html, re.DOTALL
    )
    assert [("no longer sold" in row, "not pushed" in row) for row in rows] == [
        (True, False),
        (False, True),
    ]
    assert f"{paid}: $" in shown.text  # the file says the old price


async def test_the_file_and_stripe_are_compared_with_the_database(
    settings: Settings,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
    console: Console,
    tmp_path: Path,
) -> None:
    service, file = console.service, tmp_path / "ours.toml"
    file.write_text(DEARER)
    given = settings.model_copy(update={"catalogue_file": file})
    client = await aiohttp_client(make_console(given))
    with_file = Console(Service(client, service.sandbox, service.stripe, service.pool, given))
    await with_file.sign_in(KEY)
    shown = await with_file.open("/console/catalogue")
    assert "starter_monthly_usd: $7.99 -> $8.99" in shown.text
    file.write_text("plans = 1")
    assert "ours.toml:1: plans: must be a list" in (await with_file.open("/console/catalogue")).text
    assert "offers exactly" in (await console.open("/console/catalogue/stripe")).text
    await apply_catalogue(service.pool, parse_catalogue(DEARER))
    differs = await console.open("/console/catalogue/stripe")
    assert "starter_monthly_usd" in differs.text
    assert "catalog push" in differs.text


async def test_an_edit_is_tried_and_nothing_is_applied(console: Console) -> None:
    pool = console.service.pool
    before = await pool.fetch("SELECT p::text FROM prices AS p ORDER BY id")
    form = await console.open("/console/catalogue/try")
    tried = await console.post("/console/catalogue/try", form, text=DEARER)
    assert tried.status == 200
    assert "starter_monthly_usd: $7.99 -> $8.99" in tried.text
    assert "Nothing was applied." in tried.text
    same = await console.post("/console/catalogue/try", form, text=TEXT.replace("\n", "\r\n"))
    assert "What would change Nothing." in same.text
    doubtful = TEXT.replace("monthly = 799,", "monthly = 79,", 1)
    doubted = await console.post("/console/catalogue/try", form, text=doubtful)
    assert "It may be a mistake: starter_monthly_usd" in doubted.text
    assert await pool.fetch("SELECT p::text FROM prices AS p ORDER BY id") == before
    assert not await pool.fetchval(
        "SELECT count(*) FROM billing_audit_log WHERE action LIKE 'catalogue.%'"
    )


async def test_a_text_that_is_no_catalogue_is_explained_by_line(console: Console) -> None:
    form = await console.open("/console/catalogue/try")
    for text, said in {
        "": "catalogue:1:",
        "[[plans": "is not valid TOML",
        DEARER.replace("monthly = 899,", 'monthly = "<b>",', 1): "whole number of minor units",
    }.items():
        refused = await console.post("/console/catalogue/try", form, text=text)
        assert (refused.status, said in refused.text) == (422, True), refused.text
        assert "<b>" not in refused.html
