"""The page of the API in a real browser."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp.test_utils import TestServer

from tests.browser.conftest import Browser, browser, driver
from tests.service import make_app, make_settings

__all__ = ["browser", "driver"]  # fixtures

pytestmark = pytest.mark.browser


async def test_it_can_be_read_on_a_telephone(
    browser: Browser,
    database_url: str,
    aiohttp_server: Callable[..., Awaitable[TestServer]],
) -> None:
    server = await aiohttp_server(make_app(make_settings(database_url=database_url)))
    await browser.resize(360, 740)
    await browser.open(str(server.make_url("/docs")))
    opened = "document.querySelectorAll('details').forEach(one => one.open = true);"
    width = await browser.run(f"{opened} return document.documentElement.scrollWidth")
    assert width <= 360
    assert await browser.text_of("h1") == "mPanel billing"
    # the stylesheet is let through by the page's own policy
    assert (
        await browser.run("return getComputedStyle(document.querySelector('table')).borderCollapse")
        == "collapse"
    )
