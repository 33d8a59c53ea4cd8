"""The storefront says everything in each of its languages."""

import re
from html.parser import HTMLParser

import pytest

from mpanel_billing.http.routes.storefront import FILES

_STRING = r'"((?:[^"\\]|\\.)*)"'
ENTRY = re.compile(rf"^  {_STRING}:(?:\n   )? {_STRING},$", re.MULTILINE)
SAID = re.compile(rf"\bsay\(\s*{_STRING}")
TABLE = re.compile(
    r"^const (?:SENTENCES|HEADLINES|TENANTS|TERMS|DOMAINS|NEEDS|TAX_WORDS) = {(.*?)}",
    re.MULTILINE | re.DOTALL,
)
PLACES = re.compile(r"\{\w+\}")

GERMAN = dict(ENTRY.findall((FILES / "words.js").read_text()))


class Texts(HTMLParser):
    """The texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.add(data.strip())


def said(name: str) -> set[str]:
    script = (FILES / name).read_text()
    texts = set(SAID.findall(script))
    for table in TABLE.findall(script):
        texts |= set(re.findall(rf": {_STRING}", table))
    return texts


@pytest.mark.parametrize("name", ["shop.js", "success.js", "words.js"])
def test_what_a_script_says_has_its_german(name: str) -> None:
    assert said(name) - GERMAN.keys() == set()


@pytest.mark.parametrize("name", ["shop.html", "success.html"])
def test_what_a_page_says_has_its_german(name: str) -> None:
    page = Texts()
    page.feed((FILES / name).read_text())
    names = {"◆", "MigraHosting", "This demo needs JavaScript."}
    assert page.found - GERMAN.keys() - names == set()


def test_a_translation_fills_in_the_same() -> None:
    assert len(GERMAN) > 100
    for english, german in GERMAN.items():
        assert sorted(PLACES.findall(english)) == sorted(PLACES.findall(german)), english
