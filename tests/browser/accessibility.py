"""Examines a page with axe-core."""

import asyncio
from collections.abc import Sequence

from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.conftest import Browser

_EXAMINE = """
const [rules, done] = arguments;
const options = {resultTypes: ['violations'], ...(rules.length ? {runOnly: rules} : {})};
axe.run(document, options).then(
    (found) => done(found.violations.map((one) => [one.id, one.nodes[0].html]))
);
"""
"""Only what is broken is told in full: of what is not, axe-core would send each element."""


async def violations(browser: Browser, rules: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return the rules that the page breaks, and where: of those named, or of all."""
    return await asyncio.to_thread(_examine, browser.driver, list(rules))


def _examine(driver: WebDriver, rules: list[str]) -> list[tuple[str, str]]:
    from axe_core_python.base import AXE_SCRIPT

    if not driver.execute_script("return 'axe' in window"):
        driver.execute_script(AXE_SCRIPT)
    return [(rule, html) for rule, html in driver.execute_async_script(_EXAMINE, rules)]
