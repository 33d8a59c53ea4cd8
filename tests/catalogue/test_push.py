"""Stripe offers what the database sells, whatever happened to an earlier push."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import stripe

from mpanel_billing.catalogue.drift import find_drift
from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.offers import PriceTerms, StripePrice, StripeProduct
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import ConflictError, StripeUnavailableError
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from stripe_sandbox import Sandbox, SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient

PRICES = 51


def edited(written: str, instead: str) -> CatalogueFile:
    text = DEFAULT_CATALOGUE.read_text()
    assert written in text
    return parse_catalogue(text.replace(written, instead))


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox(SandboxConfig()) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[stripe.StripeClient]:
    http_client = stripe.AIOHTTPClient()
    yield stripe.StripeClient(
        "sk_test_catalogue",
        http_client=http_client,
        base_addresses={"api": sandbox.url},
        max_network_retries=1,
    )
    await http_client.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
def gateway(client: stripe.StripeClient) -> StripeCatalogue:
    return StripeCatalogue(client)


@pytest.fixture
async def applied(pool: Pool, shipped: CatalogueFile) -> Pool:
    """The database with the shipped catalogue."""
    await apply_catalogue(pool, shipped)
    return pool


async def stored_price_ids(pool: Pool) -> dict[str, str | None]:
    async with pool.acquire() as conn:
        catalogue = await load_catalogue(conn, livemode=False)
    return {
        price.lookup_key: price.stripe_price_id
        for product in catalogue.products
        for price in product.prices
    }


async def offered_price_ids(gateway: StripeCatalogue) -> dict[str | None, str]:
    offered = await gateway.list_active_prices()
    by_key = {price.terms.lookup_key: price.id for price in offered}
    assert len(by_key) == len(offered), "no lookup key is on sale twice"
    return by_key


async def test_everything_on_sale_is_in_stripe_and_its_ids_are_stored(
    applied: Pool, gateway: StripeCatalogue, client: stripe.StripeClient
) -> None:
    pushed = await push_catalogue(applied, gateway, livemode=False)
    assert len(pushed.created) == 17 + PRICES + 1
    stored = await stored_price_ids(applied)
    assert len(stored) == PRICES
    assert await offered_price_ids(gateway) == stored
    price = await client.v1.prices.retrieve_async(str(stored["starter_triennially_usd"]))
    assert price.unit_amount == 5364
    assert price.recurring is not None
    assert (price.recurring.interval, price.recurring.interval_count) == ("year", 3)
    product = await client.v1.products.retrieve_async(str(price.product))
    assert product.name == "Starter"
    assert product.metadata.to_dict() == {"code": "starter"}
    once = await client.v1.prices.retrieve_async(str(stored["domain-com_once_usd"]))
    assert (once.type, once.recurring) == ("one_time", None)
    coupon = await client.v1.coupons.retrieve_async("WELCOME10")
    assert (coupon.percent_off, coupon.duration) == (10, "once")


async def test_pushing_again_does_nothing(applied: Pool, gateway: StripeCatalogue) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    before = await stored_price_ids(applied)
    again = await push_catalogue(applied, gateway, livemode=False)
    assert (again.created, again.updated, again.retired) == ([], [], [])
    assert await stored_price_ids(applied) == before


async def test_a_changed_price_takes_the_lookup_key_over_and_retires_the_old_one(
    applied: Pool, gateway: StripeCatalogue, client: stripe.StripeClient
) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    old = (await stored_price_ids(applied))["starter_monthly_usd"]
    await apply_catalogue(applied, edited("monthly = 799, annually = 2988", "monthly = 899"))
    pushed = await push_catalogue(applied, gateway, livemode=False)
    assert pushed.created == ["starter_monthly_usd"]
    new = (await stored_price_ids(applied))["starter_monthly_usd"]
    assert old in pushed.retired
    assert (await client.v1.prices.retrieve_async(str(old))).active is False
    assert (await client.v1.prices.retrieve_async(str(new))).unit_amount == 899
    offered = await offered_price_ids(gateway)
    assert offered["starter_monthly_usd"] == new
    assert "starter_annually_usd" not in offered, "no longer in the file, no longer on sale"


async def test_a_price_that_somebody_has_stays_active_until_nobody_has_it(
    applied: Pool, gateway: StripeCatalogue, client: stripe.StripeClient
) -> None:
    """Stripe takes no schedule with an inactive price: nothing could be planned for them."""
    await push_catalogue(applied, gateway, livemode=False)
    old = str((await stored_price_ids(applied))["starter_monthly_usd"])
    held = await applied.fetchval(
        """WITH s AS (
               INSERT INTO subscriptions (price, status, billing_provider, livemode, currency,
                   amount, auto_renew, stripe_status, stripe_as_of, stripe_as_of_since)
               VALUES (7.99, 'active', 'stripe', FALSE, 'usd', 799, FALSE, 'active', now(), now())
               RETURNING id
           )
           INSERT INTO subscription_items (subscription_id, price_id, stripe_price_id, currency)
           SELECT s.id, p.id, p.stripe_price_id, 'usd' FROM s, prices AS p
           WHERE p.stripe_price_id = $1 RETURNING subscription_id""",
        old,
    )
    await apply_catalogue(applied, edited("monthly = 799, annually", "monthly = 899, annually"))
    for _ in range(2):
        assert old not in (await push_catalogue(applied, gateway, livemode=False)).retired
    kept = await client.v1.prices.retrieve_async(old)
    assert (kept.active, kept.lookup_key) == (True, None)
    assert not [one for one in await find_drift(applied, gateway, livemode=False) if old in one]
    await applied.execute("UPDATE subscriptions SET stripe_status = 'canceled' WHERE id = $1", held)
    assert (await push_catalogue(applied, gateway, livemode=False)).retired == [old]


@pytest.mark.parametrize("push_between", [True, False])
async def test_a_price_that_changes_forth_and_back_ends_on_sale_once(
    applied: Pool, gateway: StripeCatalogue, shipped: CatalogueFile, push_between: bool
) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    await apply_catalogue(applied, edited("monthly = 799, annually", "monthly = 899, annually"))
    if push_between:
        await push_catalogue(applied, gateway, livemode=False)
    await apply_catalogue(applied, shipped)
    await push_catalogue(applied, gateway, livemode=False)
    assert await offered_price_ids(gateway) == await stored_price_ids(applied)
    again = await push_catalogue(applied, gateway, livemode=False)
    assert (again.created, again.updated, again.retired) == ([], [], [])


async def test_a_renamed_product_is_updated_in_place(
    applied: Pool, gateway: StripeCatalogue
) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    await apply_catalogue(applied, edited('name = "Premium"', 'name = "Première"'))
    pushed = await push_catalogue(applied, gateway, livemode=False)
    assert (pushed.created, pushed.updated, pushed.retired) == ([], ["premium"], [])
    [product] = await gateway.list_products(["mpanel_premium"])
    assert product.name == "Première"


async def test_a_product_gone_from_the_file_is_off_sale_in_stripe_and_comes_back(
    applied: Pool, gateway: StripeCatalogue, shipped: CatalogueFile
) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    text = DEFAULT_CATALOGUE.read_text()
    start, end = text.index('[[domains]]\ntld = "io"'), text.index("# ---- Coupons")
    await apply_catalogue(applied, parse_catalogue(text[:start] + text[end:]))
    pushed = await push_catalogue(applied, gateway, livemode=False)
    assert (pushed.created, pushed.updated, len(pushed.retired)) == ([], ["domain-io"], 1)
    [product] = await gateway.list_products(["mpanel_domain-io"])
    assert product.active is False
    await apply_catalogue(applied, shipped)
    await push_catalogue(applied, gateway, livemode=False)
    assert (await gateway.list_products(["mpanel_domain-io"]))[0].active is True
    assert await offered_price_ids(gateway) == await stored_price_ids(applied)


async def test_a_changed_coupon_is_created_again(applied: Pool, gateway: StripeCatalogue) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    for percent in ("12.5", "10", "12.5"):
        await apply_catalogue(applied, edited("percent_off = 10", f"percent_off = {percent}"))
        await push_catalogue(applied, gateway, livemode=False)
        coupon = await gateway.find_coupon("WELCOME10")
        assert coupon is not None
        assert str(coupon.percent_off) == str(float(percent))


async def test_the_limits_that_stripe_knows_are_its_own_second_line(
    applied: Pool, gateway: StripeCatalogue, client: stripe.StripeClient
) -> None:
    limits = """percent_off = 10
max_redemptions = 100
max_per_customer = 1
expires_at = 2031-05-01T00:00:00+02:00
products = ["starter", "premium"]
"""
    await apply_catalogue(applied, edited("percent_off = 10", limits))
    await push_catalogue(applied, gateway, livemode=False)
    found = await client.v1.coupons.retrieve_async("WELCOME10", {"expand": ["applies_to"]})
    assert found.max_redemptions == 100
    assert found.applies_to.to_dict() == {"products": ["mpanel_premium", "mpanel_starter"]}
    a_day_later = datetime(2031, 5, 1, 23, tzinfo=UTC)
    assert found.redeem_by == a_day_later.timestamp(), "pages that are open can still be paid"
    again = await push_catalogue(applied, gateway, livemode=False)
    assert (again.created, again.updated, again.retired) == ([], [], [])
    assert await find_drift(applied, gateway, livemode=False) == []
    await apply_catalogue(applied, edited("percent_off = 10", "percent_off = 10"))
    assert await find_drift(applied, gateway, livemode=False) == [
        "coupon WELCOME10: max_redemptions is 100, not nothing",
        f"coupon WELCOME10: redeem_by is {found.redeem_by}, not nothing",
        "coupon WELCOME10: product_ids is ('mpanel_premium', 'mpanel_starter'), not nothing",
    ]


async def test_a_coupon_that_has_expired_is_neither_sold_nor_pushed(
    applied: Pool, gateway: StripeCatalogue
) -> None:
    past = "percent_off = 10\nexpires_at = 2026-01-01T00:00:00Z"
    await apply_catalogue(applied, edited("percent_off = 10", past))
    pushed = await push_catalogue(applied, gateway, livemode=False)
    assert "WELCOME10" not in pushed.created
    async with applied.acquire() as conn:
        assert (await load_catalogue(conn, livemode=False)).coupons == ()


async def test_a_price_switched_off_by_hand_in_the_dashboard_is_replaced(
    applied: Pool, gateway: StripeCatalogue, client: stripe.StripeClient
) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    old = str((await stored_price_ids(applied))["starter_monthly_usd"])
    await client.v1.prices.update_async(old, {"active": False})
    pushed = await push_catalogue(applied, gateway, livemode=False)
    assert pushed.created == ["starter_monthly_usd"]
    assert await offered_price_ids(gateway) == await stored_price_ids(applied)


async def test_a_new_database_finds_what_an_earlier_one_pushed(
    applied: Pool, gateway: StripeCatalogue
) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    before = await stored_price_ids(applied)
    await applied.execute("TRUNCATE products, prices, coupons CASCADE")
    await apply_catalogue(applied, edited("percent_off = 10", "percent_off = 10"))
    pushed = await push_catalogue(applied, gateway, livemode=False)
    assert (pushed.created, pushed.updated, pushed.retired) == ([], [], [])
    assert await stored_price_ids(applied) == before


class DyingCatalogue(StripeCatalogue):
    """Dies after creating its n-th product or price: it exists in Stripe but is not recorded."""

    def __init__(self, client: stripe.StripeClient, survives: int) -> None:
        super().__init__(client)
        self.left = survives

    async def create_product(self, product: StripeProduct, code: str, key: str) -> None:
        await super().create_product(product, code, key)
        self._die_when_due()

    async def create_price(self, terms: PriceTerms, key: str) -> StripePrice:
        price = await super().create_price(terms, key)
        self._die_when_due()
        return price

    async def retire_price(self, price_id: str, key: str) -> None:
        await super().retire_price(price_id, key)
        self._die_when_due()

    def _die_when_due(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise asyncio.CancelledError


@pytest.mark.parametrize("survives", [0, 8, 16, 17, 40, 17 + PRICES - 1])
async def test_a_push_that_died_anywhere_is_finished_by_the_next_one(
    applied: Pool, client: stripe.StripeClient, gateway: StripeCatalogue, survives: int
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await push_catalogue(applied, DyingCatalogue(client, survives), livemode=False)
    await push_catalogue(applied, gateway, livemode=False)
    assert await offered_price_ids(gateway) == await stored_price_ids(applied)
    page = await client.v1.products.list_async()
    assert len([product async for product in page.auto_paging_iter()]) == 17


@pytest.mark.parametrize("survives", [0, 1, 2])
async def test_a_price_change_that_died_anywhere_is_finished_by_the_next_push(
    applied: Pool, client: stripe.StripeClient, gateway: StripeCatalogue, survives: int
) -> None:
    await push_catalogue(applied, gateway, livemode=False)
    await apply_catalogue(applied, edited("monthly = 799, annually = 2988", "monthly = 899"))
    with pytest.raises(asyncio.CancelledError):
        await push_catalogue(applied, DyingCatalogue(client, survives), livemode=False)
    await push_catalogue(applied, gateway, livemode=False)
    assert await offered_price_ids(gateway) == await stored_price_ids(applied)


async def test_a_lost_response_creates_no_second_price(
    applied: Pool, gateway: StripeCatalogue, sandbox: Sandbox
) -> None:
    async with SandboxClient(sandbox.url) as control:
        await control.inject_fault(
            "status", method="POST", path="/v1/prices", times=5, status=500, after_work=True
        )
    for _ in range(5):
        try:
            await push_catalogue(applied, gateway, livemode=False)
            break
        except StripeUnavailableError:
            continue
    assert await offered_price_ids(gateway) == await stored_price_ids(applied)


async def test_two_pushes_never_run_at_once(applied: Pool, gateway: StripeCatalogue) -> None:
    outcomes = await asyncio.gather(
        *(push_catalogue(applied, gateway, livemode=False) for _ in range(3)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(refused) == 2
    assert all(isinstance(outcome, ConflictError) for outcome in refused)
    assert await offered_price_ids(gateway) == await stored_price_ids(applied)
    again = await push_catalogue(applied, gateway, livemode=False)
    assert again.created == [], "the lock was given back"
