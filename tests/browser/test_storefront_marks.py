"""What the shop marks as wrong, and when it does no longer."""

import re
from typing import Any

import pytest

from mpanel_billing.http.schemas.checkout import CheckoutRequest, QuoteRequest
from mpanel_billing.resources import ROOT
from tests.browser.conftest import Browser, Shop
from tests.browser.test_storefront import READY
from tests.browser.test_storefront_words import ANSWERING

NAMED = re.compile(r'fields=\{\s*f?"([^"]+)"')
PLACEHOLDER = re.compile(r"\{[^}]+\}")
ROUTES = ROOT / "mpanel_billing/http/routes/checkout.py"

MARK = """
    const [path] = arguments;
    return import("/demo/assets/marks.js").then(({ markInputs, unmark }) => {
      const [input] = markInputs({ [path]: "is wrong" }, "This is wrong.");
      if (!input) return "nothing is marked";
      const problem = document.getElementById(input.getAttribute("aria-errormessage"));
      const invalid = input.getAttribute("aria-invalid");
      const state = [invalid, problem?.textContent, problem?.checkVisibility()];
      unmark(input);
      const left = document.querySelectorAll(".problem, [aria-invalid]").length;
      return JSON.stringify([...state, left]);
    });
"""


def paths_in(schema: dict[str, Any], named: dict[str, Any], path: str = "") -> set[str]:
    """The path of everything that a body may have, as a refusal names it."""
    if "$ref" in schema:
        return paths_in(named[schema["$ref"].rsplit("/", 1)[-1]], named, path)
    found = {path} - {""}
    for one in schema.get("anyOf", []):
        found |= paths_in(one, named, path)
    for name, one in schema.get("properties", {}).items():
        found |= paths_in(one, named, f"{path}.{name}".strip("."))
    for place, key in (("0", "items"), ("x", "additionalProperties")):
        if isinstance(schema.get(key), dict):
            found |= paths_in(schema[key], named, f"{path}.{place}")
    return found


def refusable() -> list[str]:
    """All paths by which the service refuses orders and quotes, and one that is to come."""
    found = {"something.new"}
    for model in (CheckoutRequest, QuoteRequest):
        schema = model.model_json_schema(by_alias=True)
        found |= paths_in(schema, schema.get("$defs", {}))
    for module in (*ANSWERING, ROUTES):
        found |= {PLACEHOLDER.sub("x", name) for name in NAMED.findall(module.read_text())}
    return sorted(found)


async def open_shop(browser: Browser, shop: Shop) -> None:
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)


@pytest.mark.browser
@pytest.mark.parametrize("mode", ["new-or-transfer", "later"])
async def test_every_field_that_can_be_refused_marks_something_that_is_seen(
    browser: Browser, shop: Shop, mode: str
) -> None:
    await open_shop(browser, shop)
    await browser.click(f"input[name=domainMode][value={mode}]")
    paths = refusable()
    assert {"domain.mode", "domain.authCode", "customer.taxId.type", "quantities.x"} <= {*paths}
    marked = {path: await browser.run(MARK, path) for path in paths}
    right = '["true","This is wrong.",true,0]'
    assert {path: state for path, state in marked.items() if state != right} == {}


@pytest.mark.browser
async def test_a_plan_without_a_domain_marks_the_choice_of_one_until_it_is_made(
    browser: Browser, shop: Shop
) -> None:
    await open_shop(browser, shop)
    await browser.click("input[name=plan][value=student]")
    await browser.fill("#domain", "adalovelace.com")
    await browser.fill("#name", "Ada Lovelace")
    await browser.fill("#email", "ada@example.com")
    await browser.click("#pay")
    assert "does not include" in await browser.text_of("#domain-modes-problem")
    assert await browser.run("return document.activeElement.name") == "domainMode"
    assert (
        await browser.run("return document.querySelector('[aria-invalid]').value")
        == "new-or-transfer"
    )
    await browser.click("input[name=domainMode][value=later]")
    await nothing_is_marked(browser)


@pytest.mark.browser
async def test_a_tax_id_without_a_country_is_wrong_until_the_country_is_there(
    browser: Browser, shop: Shop
) -> None:
    await open_shop(browser, shop)
    await browser.click("input[name=domainMode][value=later]")
    await browser.run("document.querySelector('details').open = true")
    await browser.fill("#tax-id", "DE123456789")
    await browser.fill("#name", "Ada Lovelace")
    await browser.fill("#email", "ada@example.com")
    await browser.click("#pay")
    assert "Enter your country" in await browser.text_of("#tax-id-problem")
    await browser.click("input[name=trial]")
    await browser.find(".bill tr:not(.total)")
    assert "Enter your country" in await browser.text_of("#tax-id-problem")
    await browser.fill("#country", "DE\t")
    await nothing_is_marked(browser)


async def nothing_is_marked(browser: Browser) -> None:
    await browser.until(
        lambda driver: not driver.find_elements("css selector", ".problem, [aria-invalid]")
    )
