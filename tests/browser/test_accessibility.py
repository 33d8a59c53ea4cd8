"""The examination sees what is broken, and where."""

import pytest

from tests.browser.accessibility import violations
from tests.browser.conftest import Browser

pytestmark = pytest.mark.browser

PAGE = (
    "data:text/html,<html lang=en><title>A page</title><main><h1>A page</h1><img src=x>"
    "<p style='color:%23aaa;background:%23fff'>pale</p></main>"
)


async def test_what_a_page_lacks_is_found(browser: Browser) -> None:
    await browser.open(PAGE)
    found = await violations(browser)
    assert {rule for rule, _ in found} >= {"image-alt", "color-contrast"}
    assert ("image-alt", '<img src="x">') in found
    ((rule, _),) = await violations(browser, ["color-contrast"])
    assert rule == "color-contrast"
