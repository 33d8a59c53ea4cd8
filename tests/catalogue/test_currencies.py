"""What is sold, for how much, in the currency that is asked for."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from mpanel_billing.catalogue.bridge import plans_body, product_body, products_body
from mpanel_billing.catalogue.currencies import choose_currency
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import Order
from mpanel_billing.catalogue.overview import catalogue_table
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.catalogue.sums import list_unsold
from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import InvalidRequestError, NotFoundError
from tests.currencies import shop
from tests.service import SITE, AppClient, make_app, make_settings

PLANS = "/api/public/plans"
ALL = [PLANS, "/api/marketing-api/products/catalog", "/api/marketing-api/products/starter"]


@pytest.fixture(scope="module")
def catalogue(make_catalogue: Callable[[CatalogueFile], Catalogue]) -> Catalogue:
    return make_catalogue(shop())


@pytest.fixture
async def client(
    pool: Pool, database_url: str, aiohttp_client: Callable[..., Awaitable[AppClient]]
) -> AppClient:
    await apply_catalogue(pool, shop())
    return await aiohttp_client(make_app(make_settings(database_url=database_url)))


@pytest.mark.parametrize(
    ("asked", "accepted", "chosen"),
    [
        (None, "", "usd"),
        ("jpy", "", "jpy"),
        (" KWD ", "jpy", "kwd"),
        (None, "JPY", "jpy"),
        (None, "eur, kwd;q=0.5, jpy", "kwd"),
        (None, "eur", "usd"),
        (None, ", ;,%", "usd"),
    ],
)
def test_the_query_goes_before_what_is_accepted_and_that_before_the_default(
    catalogue: Catalogue, asked: str | None, accepted: str, chosen: str
) -> None:
    assert choose_currency(catalogue, asked, accepted) == chosen


def test_a_currency_in_which_nothing_is_sold_is_refused_with_those_that_are(
    catalogue: Catalogue,
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        choose_currency(catalogue, "eur")
    assert (caught.value.code, caught.value.message) == (
        "currency_not_sold",
        "Nothing is sold in EUR. Available: USD, JPY, KWD.",
    )


def test_a_page_lists_what_can_be_had_in_its_currency(catalogue: Catalogue) -> None:
    dinars = plans_body(catalogue, "kwd")
    assert (dinars["currency"], dinars["currencies"]) == ("kwd", ("usd", "jpy", "kwd"))
    assert [(plan["id"], plan["monthly_price"]) for plan in dinars["plans"]] == [
        ("starter", 2.45),
        ("premium", 3.99),
    ]
    [starter, *_] = plans_body(catalogue, "jpy")["plans"]
    assert (starter["monthly_price"], starter["annual_price"]) == (1215, 4480)
    assert starter["billing"][0]["priceId"] == "starter_monthly_jpy"
    assert products_body(catalogue, "jpy")["meta"]["total"] == 4
    assert product_body(catalogue, "jpy", "starter")["data"]["billing_cycles"]["monthly"] == 1215
    with pytest.raises(NotFoundError):
        product_body(catalogue, "jpy", "local")


def test_a_coupon_has_its_sums_in_each_currency_and_is_refused_in_others(
    catalogue: Catalogue,
) -> None:
    orders = [Order("starter", "monthly", code, coupon_code="FIVE") for code in ("usd", "jpy")]
    assert [price_order(catalogue, one).discount for one in orders] == [500, 750]
    five = catalogue.coupons_by_code["FIVE"]
    pushed = replace(five, stripe_coupon_id="FIVE")
    in_dinars = pushed.in_currency("kwd")
    assert in_dinars is not None
    assert (in_dinars.amount_off, in_dinars.minimum_amount, in_dinars.redeemed_by) == (
        1500,
        1800,
        "FIVE_kwd",
    )
    assert pushed.in_currency("usd") is pushed
    assert pushed.in_currency("eur") is None
    ten = replace(catalogue.coupons_by_code["TEN"], stripe_coupon_id="TEN")
    assert ten.in_currency("kwd") is ten
    with pytest.raises(InvalidRequestError) as caught:
        price_order(catalogue, Order("starter", "monthly", "jpy", coupon_code="BUCK"))
    assert (caught.value.code, caught.value.fields) == (
        "coupon_not_in_currency",
        {"couponCode": "only valid in USD"},
    )


def test_what_a_currency_leaves_out_is_listed() -> None:
    assert list_unsold(shop()) == {
        "jpy": ("local", "BUCK"),
        "kwd": ("tried", "local", "domain-net", "BUCK"),
    }


def test_the_table_has_a_line_for_each_currency(catalogue: Catalogue) -> None:
    table = catalogue_table(catalogue)
    assert "2.450 KWD" in table
    assert "¥1,215" in table
    assert "coupon FIVE: $5.00 or ¥750 or 1.500 KWD off" in table


@pytest.mark.parametrize("path", ALL)
async def test_a_currency_has_an_etag_of_its_own_and_caches_know_on_what_it_depends(
    client: AppClient, path: str
) -> None:
    etags = {}
    for currency in ("usd", "jpy", "kwd"):
        async with client.get(path, params={"currency": currency}) as asked:
            assert asked.status == 200
            body = await asked.read()
        async with client.get(path, headers={"Accept-Currency": f"eur, {currency}"}) as accepted:
            assert await accepted.read() == body
        for response in (asked, accepted):
            assert response.headers.getall("Vary") == ["Accept-Currency", "Origin"]
        etags[currency] = asked.headers["ETag"]
        known = {"If-None-Match": etags[currency], "Accept-Currency": currency}
        async with client.get(path, headers=known) as same:
            assert same.status == 304
            assert same.headers.getall("Vary") == ["Accept-Currency", "Origin"]
    assert len(set(etags.values())) == 3
    async with client.get(path) as plain:
        assert plain.headers["ETag"] == etags["usd"]
    async with client.get(path, params={"currency": "eur"}) as refused:
        assert (refused.status, (await refused.json())["code"]) == (422, "currency_not_sold")
        assert refused.headers["Cache-Control"] == "no-store"


async def test_a_page_elsewhere_may_send_the_header(client: AppClient) -> None:
    headers = {
        "Origin": SITE,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "accept-currency",
    }
    async with client.options(PLANS, headers=headers) as preflight:
        assert "Accept-Currency" in preflight.headers["Access-Control-Allow-Headers"]
