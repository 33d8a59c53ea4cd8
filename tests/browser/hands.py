"""An operator's keyboard and mouse in a browser, counted as they go."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from tests.browser.conftest import Browser

THINK_SECONDS = 1.35
POINT_SECONDS = 1.1
PRESS_SECONDS = 0.28
"""Of the keystroke-level model (Card, Moran and Newell), for somebody who types as most do."""

_ROWS = ("tr", "article", "li", "nav")


@dataclass
class Hands:
    """What an operator does, in steps: a click, a key, or a field that is filled.

    Things are named as the page names them; `near` is a text of the same row or list.
    """

    browser: Browser
    steps: int = 0
    seconds: float = field(default=0.0)

    def begin(self) -> None:
        """Start counting again."""
        self.steps, self.seconds = 0, 0.0

    async def click(self, name: str, near: str = "") -> None:
        self._count(POINT_SECONDS + PRESS_SECONDS)
        await self._press(_button(name, near))

    async def press(self, key: str) -> None:
        self._count(PRESS_SECONDS)
        await asyncio.to_thread(ActionChains(self.browser.driver).send_keys(key).perform)

    async def enter(self) -> None:
        """Press Enter, which leads to another page."""
        before = await self.browser.find("html")
        await self.press(Keys.ENTER)
        await self._left(before)

    async def type(self, text: str) -> None:
        """Type where the cursor is."""
        self._count(PRESS_SECONDS * len(text))
        await asyncio.to_thread(ActionChains(self.browser.driver).send_keys(text).perform)

    async def fill(self, label: str, text: str) -> None:
        self._count(POINT_SECONDS + PRESS_SECONDS * len(text))
        element = await self._labelled(label)
        await asyncio.to_thread(element.clear)
        await asyncio.to_thread(element.send_keys, text)

    async def choose(self, label: str, option: str) -> None:
        self._count(2 * POINT_SECONDS + 2 * PRESS_SECONDS)
        element = await self._labelled(label)
        await asyncio.to_thread(lambda: Select(element).select_by_visible_text(option))

    async def sees(self, *texts: str) -> None:
        """Wait until the page shows all of the texts, as a page that looks again does."""
        try:
            await self.browser.until(_shows(texts))
        except TimeoutException:
            shown = await self.browser.text_of("body")
            raise AssertionError(
                f"{texts} not on {self.browser.driver.current_url}: {shown}"
            ) from None

    def _count(self, seconds: float) -> None:
        self.steps += 1
        self.seconds += THINK_SECONDS + seconds

    async def _labelled(self, label: str) -> WebElement:
        found = await self.browser.until(
            lambda driver: driver.find_element(By.XPATH, f"//label[normalize-space()='{label}']")
        )
        return await self.browser.find(f"#{await asyncio.to_thread(found.get_attribute, 'for')}")

    async def _press(self, xpath: str) -> None:
        """Click, and wait until that has led to another page.

        A page that looks again may replace what was found before it is clicked: it is found again.
        """

        def click(driver: WebDriver) -> bool:
            driver.find_element(By.XPATH, xpath).click()
            return True

        before = await self.browser.find("html")
        await self.browser.until(click)
        await self._left(before)

    async def _left(self, page: WebElement) -> None:
        await self.browser.until(lambda driver: driver.find_element(By.TAG_NAME, "html") != page)


def _button(name: str, near: str) -> str:
    here = f"*[self::a or self::button][normalize-space()='{name}']"
    if not near:
        return f"//{here}"
    rows = " or ".join(f"self::{each}" for each in _ROWS)
    return f"//*[{rows}][contains(normalize-space(), '{near}')]//{here}"


def _shows(texts: tuple[str, ...]) -> Callable[[WebDriver], bool]:
    def shows(driver: WebDriver) -> bool:
        shown = driver.find_element(By.TAG_NAME, "body").text
        return all(text in shown for text in texts)

    return shows
