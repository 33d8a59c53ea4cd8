"""The database sells exactly what the file says, and forgets nothing."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import asyncpg

from mpanel_billing.catalogue.edit import compare_catalogues
from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.model import Catalogue, Product
from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue, preview_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.resources import DEFAULT_CATALOGUE


def edited(*changes: tuple[str, str]) -> CatalogueFile:
    """The shipped catalogue with some of its text replaced."""
    text = DEFAULT_CATALOGUE.read_text()
    for written, instead in changes:
        assert written in text
        text = text.replace(written, instead)
    return parse_catalogue(text)


def without_plan(code: str) -> CatalogueFile:
    text = DEFAULT_CATALOGUE.read_text()
    start = text.index(f'[[plans]]\ncode = "{code}"')
    end = text.index("\n[[plans]]", start)
    return parse_catalogue(text[:start] + text[end:])


async def on_sale(pool: Pool) -> Catalogue:
    async with pool.acquire() as conn:
        return await load_catalogue(conn, livemode=False)


async def rows(pool: Pool, sql: str) -> list[asyncpg.Record]:
    return await pool.fetch(sql)


async def test_an_empty_database_sells_nothing(pool: Pool) -> None:
    empty = await on_sale(pool)
    assert (empty.products, empty.coupons) == ((), ())


async def test_what_is_applied_is_on_sale_as_the_file_says(
    pool: Pool, shipped: CatalogueFile, catalogue: Catalogue
) -> None:
    applied = await apply_catalogue(pool, shipped)
    assert len(applied.products.created) == 17
    assert len(applied.prices.created) == 51
    assert applied.coupons.created == ("WELCOME10",)
    loaded = await on_sale(pool)
    assert [_without_ids(product) for product in loaded.products] == [
        _without_ids(product) for product in catalogue.products
    ]
    assert loaded.coupons == catalogue.coupons
    assert loaded.currency == "usd"


def _without_ids(product: Product) -> tuple[object, ...]:
    prices = [(p.lookup_key, p.billing_cycle, p.currency, p.unit_amount) for p in product.prices]
    return (
        product.code,
        product.kind,
        product.name,
        product.description,
        product.category,
        product.product_types,
        product.trial_days,
        product.features,
        product.resources,
        product.display_order,
        prices,
    )


async def test_applying_again_changes_nothing(pool: Pool, shipped: CatalogueFile) -> None:
    await apply_catalogue(pool, shipped)
    before = (
        await rows(pool, "TABLE products ORDER BY id"),
        await rows(pool, "TABLE prices ORDER BY id"),
    )
    again = await apply_catalogue(pool, shipped)
    for changes, total in ((again.products, 17), (again.prices, 51), (again.coupons, 1)):
        assert (changes.created, changes.changed, changes.retired) == ((), (), ())
        assert changes.unchanged == total
    assert before == (
        await rows(pool, "TABLE products ORDER BY id"),
        await rows(pool, "TABLE prices ORDER BY id"),
    )


async def test_a_changed_price_is_a_new_row_and_the_old_one_is_retired(
    pool: Pool, shipped: CatalogueFile
) -> None:
    await apply_catalogue(pool, shipped)
    applied = await apply_catalogue(
        pool, edited(("monthly = 799, annually = 2988", "monthly = 899, annually = 2988"))
    )
    assert applied.prices.changed == ("starter_monthly_usd",)
    assert (applied.prices.created, applied.prices.retired) == ((), ())
    history = await rows(
        pool,
        "SELECT unit_amount, active FROM prices WHERE lookup_key = 'starter_monthly_usd' "
        "ORDER BY created_at",
    )
    assert [tuple(row) for row in history] == [(799, False), (899, True)]
    assert applied.products.changed == ("starter",), "mPanel's own price column follows"
    price = await pool.fetchval("SELECT price FROM products WHERE code = 'starter'")
    assert price == Decimal("8.99")


async def test_a_code_gone_from_the_file_is_taken_off_sale_and_kept(
    pool: Pool, shipped: CatalogueFile
) -> None:
    await apply_catalogue(pool, shipped)
    applied = await apply_catalogue(pool, without_plan("premium"))
    assert applied.products.retired == ("premium",)
    assert len(applied.prices.retired) == 4
    assert "premium" not in (await on_sale(pool)).plans
    status = await pool.fetchval("SELECT status FROM products WHERE code = 'premium'")
    assert status == "inactive"
    restored = await apply_catalogue(pool, shipped)
    assert restored.products.changed == ("premium",)
    assert len((await on_sale(pool)).plans["premium"].prices) == 4


async def test_a_term_gone_from_the_file_is_no_longer_sold(
    pool: Pool, shipped: CatalogueFile
) -> None:
    await apply_catalogue(pool, shipped)
    applied = await apply_catalogue(
        pool, edited(("{ monthly = 150, annually = 1440 }", "{ annually = 1440 }"))
    )
    assert applied.prices.retired == ("mail-basic_monthly_usd",)
    plan = (await on_sale(pool)).plans["mail-basic"]
    assert plan.cycles_in("usd") == ("annually",)


async def test_a_changed_coupon_cannot_be_used_until_it_is_pushed_again(
    pool: Pool, shipped: CatalogueFile
) -> None:
    await apply_catalogue(pool, shipped)
    await pool.execute("UPDATE coupons SET stripe_coupon_id = code, livemode = FALSE")
    [coupon] = (await on_sale(pool)).coupons
    assert coupon.stripe_coupon_id == "WELCOME10"
    applied = await apply_catalogue(pool, edited(("percent_off = 10", "percent_off = 12.5")))
    assert applied.coupons.changed == ("WELCOME10",)
    [coupon] = (await on_sale(pool)).coupons
    assert (coupon.percent_off, coupon.stripe_coupon_id) == (Decimal("12.50"), None)


async def test_a_coupon_gone_from_the_file_is_withdrawn(pool: Pool, shipped: CatalogueFile) -> None:
    await apply_catalogue(pool, shipped)
    text = DEFAULT_CATALOGUE.read_text()
    applied = await apply_catalogue(pool, parse_catalogue(text[: text.index("[[coupons]]")]))
    assert applied.coupons.retired == ("WELCOME10",)
    assert (await on_sale(pool)).coupons == ()


async def test_products_of_mpanels_own_are_left_alone(pool: Pool, shipped: CatalogueFile) -> None:
    await pool.execute("INSERT INTO products (name, type, price) VALUES ('Old VPS', 'vps', 25.00)")
    before = await pool.fetchrow("SELECT * FROM products")
    await apply_catalogue(pool, shipped)
    assert await pool.fetchrow("SELECT * FROM products WHERE code IS NULL") == before
    assert "Old VPS" not in [product.name for product in (await on_sale(pool)).products]


async def test_ids_of_the_other_mode_do_not_count(pool: Pool, shipped: CatalogueFile) -> None:
    await apply_catalogue(pool, shipped)
    await pool.execute(
        "UPDATE prices SET stripe_price_id = 'price_' || lookup_key, livemode = TRUE"
    )
    prices = [price for product in (await on_sale(pool)).products for price in product.prices]
    assert {price.stripe_price_id for price in prices} == {None}
    async with pool.acquire() as conn:
        live = await load_catalogue(conn, livemode=True)
    found = live.find_price("price_starter_monthly_usd")
    assert found is not None
    assert found[0].code == "starter"


async def test_two_applies_at_once_take_turns(pool: Pool, shipped: CatalogueFile) -> None:
    other = edited(("monthly = 799, annually = 2988", "monthly = 999"))
    await asyncio.gather(*(apply_catalogue(pool, file) for file in (shipped, other) * 3))
    active = await pool.fetchval(
        "SELECT count(*) FROM prices WHERE active AND lookup_key = 'starter_monthly_usd'"
    )
    assert active == 1
    assert len((await on_sale(pool)).products) == 17


async def test_prices_come_in_the_order_of_their_terms(
    pool: Pool, make_catalogue: Callable[[CatalogueFile], Catalogue]
) -> None:
    file = edited(
        (
            "{ monthly = 150, annually = 1440 }",
            "{ triennially = 3, semi-annually = 6, monthly = 1, quarterly = 2, annually = 4 }",
        )
    )
    await apply_catalogue(pool, file)
    terms = ("monthly", "quarterly", "semi-annually", "annually", "triennially")
    assert (await on_sale(pool)).plans["mail-basic"].cycles_in("usd") == terms
    assert make_catalogue(file).plans["mail-basic"].cycles_in("usd") == terms


async def test_a_preview_tells_exactly_what_is_then_different(
    pool: Pool, shipped: CatalogueFile
) -> None:
    for file in (
        shipped,
        edited(("monthly = 799,", "monthly = 899,")),
        edited(('name = "Starter"', 'name = "Begin"'), ("percent_off = 10", "percent_off = 12.5")),
        without_plan("starter"),
        shipped,
    ):
        before = await on_sale(pool)
        previewed = await preview_catalogue(pool, file)
        assert await on_sale(pool) == before
        await apply_catalogue(pool, file)
        after = await on_sale(pool)
        made = compare_catalogues(before, after)
        assert (sorted(map(str, previewed.prices)), previewed.prices_before) == (
            sorted(map(str, made.prices)),
            made.prices_before,
        )
        assert sorted((*previewed.others, *previewed.added)) == sorted((*made.others, *made.added))
        assert not (await preview_catalogue(pool, file)).prices
