"""A shop that a real browser can visit: app, worker and sandbox over HTTP."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
from aiohttp.test_utils import TestServer
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from mpanel_billing.database.pool import Pool
from mpanel_billing.settings import Settings
from mpanel_billing.worker.process import work
from stripe_sandbox import Sandbox
from tests.ports import unused_port
from tests.service import WEBHOOK_SECRET, make_app, make_settings

CHROMIUM = "/usr/bin/chromium"
CHROMEDRIVER = "/usr/bin/chromedriver"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)
PATIENCE_SECONDS = 30
LOOK_SECONDS = 0.05
# what the driver answers, without a class of its own, when a page goes away while it is read
NAVIGATED = "aborted by navigation"

Found = TypeVar("Found")


def unless_navigated(
    condition: Callable[[webdriver.Chrome], Found],
) -> Callable[[webdriver.Chrome], Found | Literal[False]]:
    """The condition, not met yet where the page that it reads gives way to the next one."""

    def look(driver: webdriver.Chrome) -> Found | Literal[False]:
        try:
            return condition(driver)
        except WebDriverException as error:
            if NAVIGATED not in (error.msg or ""):
                raise
            return False

    return look


class Browser:
    """A browser window; each method runs beside the event loop that serves its pages."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    async def open(self, url: str) -> None:
        await asyncio.to_thread(self.driver.get, url)

    async def resize(self, width: int, height: int) -> None:
        """Make the page itself that wide: headless windows have a least width of their own."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        await asyncio.to_thread(
            self.driver.execute_cdp_cmd, "Emulation.setDeviceMetricsOverride", metrics
        )

    async def until(self, condition: Callable[[webdriver.Chrome], Found]) -> Found:
        """Wait until the condition is met; what goes away or moves is found again."""
        moves = [StaleElementReferenceException, ElementClickInterceptedException]
        patience = WebDriverWait(self.driver, PATIENCE_SECONDS, LOOK_SECONDS, moves)
        return await asyncio.to_thread(patience.until, unless_navigated(condition))

    async def find(self, selector: str) -> WebElement:
        return await self.until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector))

    async def fill(self, selector: str, text: str) -> None:
        def type_text(driver: webdriver.Chrome) -> bool:
            element = driver.find_element(By.CSS_SELECTOR, selector)
            element.clear()
            element.send_keys(text)
            return True

        await self.until(type_text)

    async def click(self, selector: str) -> None:
        element = await self.find(selector)
        script = "arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()"
        await self.run(script, element)

    async def text_of(self, selector: str) -> str:
        """Wait until the element says something, and return that."""
        return await self.until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector).text)

    async def run(self, script: str, *arguments: Any) -> Any:
        return await asyncio.to_thread(self.driver.execute_script, script, *arguments)

    async def screenshot(self, file: Path) -> None:
        await asyncio.to_thread(self.driver.save_screenshot, str(file))


@dataclass(frozen=True)
class Shop:
    """Where the storefront is, and the database behind it."""

    url: str
    pool: Pool


@pytest.fixture
def site_port() -> int:
    """The port of a page on another origin, which CORS_ORIGIN allows."""
    return unused_port()


@pytest.fixture
def settings(database_url: str, sandbox: Sandbox, site_port: int) -> Settings:
    port = unused_port()
    return make_settings(
        database_url=database_url,
        stripe_api_base=sandbox.url,
        app_url=f"http://127.0.0.1:{port}",
        cors_origin=f"http://localhost:{site_port}",
        port=port,
        MPANEL_BILLING_DEMO=True,
    )


@pytest.fixture
async def shop(
    settings: Settings,
    sandbox: Sandbox,
    pool: Pool,
    offers: None,
    aiohttp_server: Callable[..., Awaitable[TestServer]],
) -> AsyncIterator[Shop]:
    """The service with a worker, selling the default catalogue on the storefront."""
    server = await aiohttp_server(make_app(settings), port=settings.port)
    sandbox.add_webhook(str(server.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
    stop = asyncio.Event()
    working = asyncio.create_task(work(settings, stop))
    yield Shop(str(settings.app_url).rstrip("/"), pool)
    stop.set()
    await working


@pytest.fixture(scope="package")
def driver() -> Iterator[webdriver.Chrome]:
    """One browser for all tests of this process; it ends with them, rather than with the run."""
    for program in (CHROMIUM, CHROMEDRIVER):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    opened = webdriver.Chrome(options=options, service=Driver(CHROMEDRIVER))
    yield opened
    opened.quit()


@pytest.fixture
def browser(driver: webdriver.Chrome) -> Browser:
    """A window without the cookies and sizes of the test before."""
    driver.delete_all_cookies()
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    return Browser(driver)
