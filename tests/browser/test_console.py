"""The console in a real browser: every page, light and dark, small and wide, by keyboard."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp.test_utils import TestServer
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.console.routes import replays
from mpanel_billing.database.pool import Pool
from mpanel_billing.settings import Settings
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.browser.accessibility import violations
from tests.browser.conftest import Browser
from tests.console.conftest import KEY, Ids, make_console
from tests.console.planted import plant_domains, plant_merge, plant_servers
from tests.ports import unused_port
from tests.service import WEBHOOK_SECRET, make_settings
from tests.sold import Sold

pytestmark = pytest.mark.browser

SCREENSHOTS = os.environ.get("CONSOLE_SCREENSHOTS")
"""A folder for a picture of each page, to look at."""
EVERY_LOOK = "CONSOLE_LOOKS" in os.environ

WIDTHS = {"small": 360, "wide": 1280}
RULES: Mapping[str, Sequence[str]] = {"light": (), "dark": ("color-contrast",)}
"""Rules of axe-core to ask, by scheme; none are all of them. The schemes differ in colours only."""
LOOKS = {(size, scheme) for size in WIDTHS for scheme in RULES}
IN_TURN = ({("small", "light")}, {("wide", "light")}, {("small", "light"), ("wide", "dark")})
"""How pages are examined, one page after the other; all of them in each way: `make soak`."""


@dataclass(frozen=True)
class Desk:
    """An operator in front of a browser, with something that is sold and something broken."""

    url: str
    pool: Pool
    ids: Ids
    browser: Browser

    async def open(self, path: str) -> None:
        await self.browser.open(self.url + path)

    @property
    def subscription(self) -> str:
        return f"/console/subscriptions/{self.ids.subscription}"

    @property
    def invoice(self) -> str:
        return f"/console/invoices/{self.ids.invoice}"


@pytest.fixture
def settings(database_url: str, sandbox: Sandbox) -> Settings:
    port = unused_port()
    return make_settings(
        database_url=database_url,
        stripe_api_base=sandbox.url,
        app_url=f"http://127.0.0.1:{port}",
        port=port,
        admin_api_keys=KEY,
        billing_api_keys=KEY,
    )


@pytest.fixture
async def desk(
    *,
    settings: Settings,
    sandbox: Sandbox,
    stripe: SandboxClient,
    pool: Pool,
    sold_once: Sold,
    browser: Browser,
    aiohttp_server: Callable[..., Awaitable[TestServer]],
) -> Desk:
    server = await aiohttp_server(make_console(settings), port=settings.port)
    sandbox.add_webhook(str(server.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
    await pool.execute(
        "UPDATE tenant_services SET stopped = 'refused', attempts = 5, actual = 'absent',"
        " external_ref = NULL, last_error = 'The disk of this server is full: no space left on"
        " device /dev/vda1' WHERE product_type = 'hosting'"
    )
    await pool.execute(
        "UPDATE stripe_events SET status = 'failed', last_error = 'invoice in_1 is of another"
        " world', next_attempt_at = now() WHERE type = 'invoice.paid'"
    )
    await create_key(pool, Actor("test"), name="panel-backend", scopes=("billing:read",))
    row = await pool.fetchrow(
        "SELECT s.customer_id, i.id"
        " FROM subscriptions AS s JOIN invoices AS i ON i.subscription_id = s.id"
    )
    assert row
    await plant_domains(pool, UUID(sold_once.subscription_id))
    await plant_servers(pool)
    await plant_merge(pool, row["customer_id"])
    ids = Ids(sold_once.subscription_id, str(row["customer_id"]), str(row["id"]))
    desk = Desk(str(settings.app_url).rstrip("/"), pool, ids, browser)
    await desk.open("/console")
    await browser.fill("#person", "ada.lovelace")
    await browser.fill("#key", KEY)
    await browser.click("button.primary")
    await browser.find("#results")
    return desk


async def all_pages(desk: Desk) -> list[str]:
    event = await desk.pool.fetchval("SELECT id FROM stripe_events WHERE status = 'failed'")
    key = await desk.pool.fetchval("SELECT id FROM billing_api_keys")
    domain = await desk.pool.fetchval("SELECT id FROM billing_domains WHERE last_error IS NOT NULL")
    soon = await desk.pool.fetchval("SELECT id FROM billing_domains WHERE state = 'active'")
    merged = await desk.pool.fetchval("SELECT customer_id FROM billing_merges")
    price = await desk.pool.fetchval("SELECT max(price_id::text) FROM subscription_items")
    return [
        "/console/find?q=ada",
        f"/console/customers/{desk.ids.customer}",
        f"/console/customers/{desk.ids.customer}/invoices",
        f"/console/customers/{desk.ids.customer}/subscriptions",
        desk.subscription,
        f"{desk.subscription}/retry",
        f"{desk.subscription}/suspend",
        f"{desk.subscription}/cancel",
        f"{desk.subscription}/end",
        f"{desk.subscription}/plan",
        f"{desk.subscription}/plan?plan=business:annually",
        desk.invoice,
        f"{desk.subscription}/next-invoice",
        f"{desk.invoice}/refund?amount=2.50",
        f"{desk.invoice}/refund?amount=nothing",
        f"{desk.invoice}/credit?amount=1.00&to=balance",
        f"{desk.subscription}/charge?description=Migration&amount=49",
        f"/console/customers/{desk.ids.customer}/balance?amount=5&reason=an+outage",
        "/console/trouble",
        "/console/watch",
        "/console/events",
        f"/console/events/{event}",
        f"/console/events/{event}/replay",
        "/console/events/replay-failed",
        "/console/domains",
        "/console/domains?list=expiring",
        "/console/domains?list=unproven",
        f"/console/domains/{domain}/retry",
        "/console/trouble/retry-all",
        "/console/events/replay-ignored",
        f"{desk.subscription}/skip?service=hosting",
        f"{desk.subscription}/take-offer",
        f"/console/domains/{domain}",
        f"/console/domains/{soon}/auto-renew?switch=off",
        f"/console/domains/{soon}/move",
        f"/console/domains/{soon}/transfer-out",
        f"/console/domains/{domain}/replace",
        "/console/servers",
        "/console/servers/web1/drain",
        "/console/reconcile",
        "/console/reconcile/start?days=30",
        "/console/coupons",
        "/console/coupons/code?code=welcome10",
        f"{desk.subscription}/lenient?grace_days=30",
        f"/console/customers/{desk.ids.customer}/invoice?description_0=Move&amount_0=49&currency=usd",
        f"/console/customers/{desk.ids.customer}/merge?who=ada",
        f"{desk.subscription}/coupon?code=welcome10",
        "/console/merges",
        f"/console/customers/{merged}/undo-merge",
        "/console/audit",
        "/console/deliveries",
        "/console/debtors",
        "/console/trials",
        "/console/disputes",
        f"/console/customers/{desk.ids.customer}/disputes",
        "/console/figures",
        "/console/figures/products",
        "/console/health",
        "/console/sessions",
        "/console/catalogue",
        "/console/catalogue?kind=domain",
        "/console/catalogue/stripe",
        "/console/catalogue/try",
        f"/console/catalogue/prices/{price}",
        "/console/set-up",
        "/console/keys?all=yes",
        "/console/keys/new",
        "/console/keys/new?name=panel&scope+admin:read=yes&days=30",
        f"/console/keys/{key}/roll",
        f"/console/keys/{key}/revoke",
        "/console/preferences",
        "/console/nothing-here",
    ]


async def test_every_page_fits_every_screen_and_is_accessible(desk: Desk) -> None:
    browser = desk.browser
    for number, path in enumerate(await all_pages(desk)):
        looks = LOOKS if SCREENSHOTS or EVERY_LOOK else IN_TURN[number % len(IN_TURN)]
        await desk.open(path)
        for size, width in WIDTHS.items():
            await browser.resize(width, 800)
            wide = await browser.run("return document.documentElement.scrollWidth")
            assert wide <= width, (path, width)
            for scheme, rules in RULES.items():
                if (size, scheme) not in looks:
                    continue
                await _show_in(browser, scheme)
                assert await violations(browser, rules) == [], (path, size, scheme)
                if SCREENSHOTS:
                    await _picture(browser, f"{number:02}-{size}-{scheme}.png", width)


async def _show_in(browser: Browser, scheme: str) -> None:
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    await asyncio.to_thread(browser.driver.execute_cdp_cmd, "Emulation.setEmulatedMedia", features)


async def _picture(browser: Browser, name: str, width: int) -> None:
    height = await browser.run("return document.documentElement.scrollHeight")
    await browser.resize(width, min(height, 3000))
    await browser.screenshot(Path(SCREENSHOTS or ".") / name)
    await browser.resize(width, 800)


async def test_on_a_phone_a_row_is_read_and_acted_on_without_scrolling_sideways(
    desk: Desk,
) -> None:
    await desk.browser.resize(360, 740)
    for path in ("/console/trouble", f"/console/customers/{desk.ids.customer}", desk.subscription):
        await desk.open(path)
        wide = await desk.browser.run(
            "return [...document.querySelectorAll('.scroll')]"
            ".filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"
        )
        assert wide == [], path
    await desk.open("/console/trouble")
    cell = "tbody tr:has(a[href$='/skip?service=hosting']) > [data-head='Detail']"
    assert "no space left" in await desk.browser.text_of(cell)
    right = await desk.browser.run(
        "return document.querySelector('.acts .button').getBoundingClientRect().right"
    )
    assert right <= 360


async def test_nothing_of_a_page_is_refused_by_its_policy(desk: Desk) -> None:
    await asyncio.to_thread(desk.browser.driver.get_log, "browser")
    for path in ("/console/find?q=ada", desk.subscription, "/console/trouble"):
        await desk.open(path)
    said = await asyncio.to_thread(desk.browser.driver.get_log, "browser")
    assert [one["message"] for one in said if one["level"] != "INFO"] == []


async def test_who_types_finds_without_sending_anything(desk: Desk) -> None:
    await desk.open("/console/find")
    box = await desk.browser.find("#q")
    await asyncio.to_thread(box.send_keys, "lovel")
    assert "Ada Lovelace" in await desk.browser.text_of("#results article")
    # what is typed next is still searched for: the box is the same one
    await asyncio.to_thread(box.send_keys, "xyz")
    assert "Nothing found" in await desk.browser.text_of("#results p.none")


async def test_the_keyboard_alone_finds_a_customer_and_shows_the_keys(desk: Desk) -> None:
    await desk.open("/console/trouble")
    body = await desk.browser.find("body")
    await asyncio.to_thread(body.send_keys, "?")
    assert "g n\nDomains" in await desk.browser.text_of("dialog[open]")
    await asyncio.to_thread(body.send_keys, Keys.ESCAPE)
    await desk.browser.until(
        lambda driver: not driver.find_elements(By.CSS_SELECTOR, "dialog[open]")
    )
    await asyncio.to_thread(body.send_keys, "gn")
    await desk.browser.until(lambda driver: driver.current_url.endswith("/console/domains"))
    body = await desk.browser.find("body")
    await asyncio.to_thread(body.send_keys, "/")
    assert await desk.browser.run("return document.activeElement.id") == "q"
    box = await desk.browser.find("#q")
    await asyncio.to_thread(box.send_keys, "ada@example.com", Keys.ENTER)
    assert "Ada Lovelace" in await desk.browser.text_of("#results article")


async def test_a_replay_of_all_that_failed_goes_on_by_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MOST_AT_ONCE", 1)
    failed = await desk.pool.fetchval(
        "WITH failed AS (UPDATE stripe_events SET status = 'failed', next_attempt_at = now(),"
        " last_error = 'no luck', applied_at = NULL"
        " WHERE status IN ('applied', 'stale', 'failed') RETURNING id)"
        " SELECT count(*) FROM failed"
    )
    assert failed > 2
    await desk.open("/console/events/replay-failed")
    await desk.browser.click("form.confirm button")
    over = f"Tried: {failed}. Still to try: 0."
    await desk.browser.until(lambda driver: over in driver.page_source)
    left = "SELECT count(*) FROM stripe_events WHERE status IN ('failed', 'received')"
    assert await desk.pool.fetchval(left) == 0


async def test_what_is_entered_after_the_preview_has_to_be_shown_before_it_is_confirmed(
    desk: Desk,
) -> None:
    await desk.open(f"{desk.invoice}/refund")
    confirms = "form.confirm button.danger"
    assert await desk.browser.text_of(confirms) == "Refund $12.98 now"
    await desk.browser.fill("#amount", "2.50")
    assert not await asyncio.to_thread((await desk.browser.find(confirms)).is_enabled)
    await desk.browser.click("form.stack button")
    await desk.browser.until(lambda driver: "Refund $2.50 now" in driver.page_source)
    assert await asyncio.to_thread((await desk.browser.find(confirms)).is_enabled)


async def test_what_stripe_foresees_takes_the_place_of_what_our_rows_know(desk: Desk) -> None:
    await desk.open(desk.subscription)
    await desk.browser.until(
        lambda driver: (
            "$12.98 · " in driver.page_source and "before taxes" not in driver.page_source
        )
    )


async def test_without_scripts_a_part_is_refunded(desk: Desk) -> None:
    driver = desk.browser.driver
    off = {"value": True}
    await asyncio.to_thread(driver.execute_cdp_cmd, "Emulation.setScriptExecutionDisabled", off)
    try:
        await desk.open(f"/console/find?q={desk.ids.customer}")
        await _follow(desk, "#results article h2 a")
        await _follow(desk, "a[href$='/refund']")
        await desk.browser.fill("#amount", "2.50")
        await _follow(desk, "form.stack button")
        assert "$2.50 goes back" in await desk.browser.text_of(".effect")
        await _follow(desk, "form.confirm button.danger")
        assert "Refunded." in await desk.browser.text_of("[role=status]")
    finally:
        on = {"value": False}
        await asyncio.to_thread(driver.execute_cdp_cmd, "Emulation.setScriptExecutionDisabled", on)
    assert await desk.pool.fetchval("SELECT amount_refunded FROM invoices") == 250


async def _follow(desk: Desk, selector: str) -> None:
    element = await desk.browser.find(selector)
    await asyncio.to_thread(element.click)
