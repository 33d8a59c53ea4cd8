"""The storefront says everything in each of its languages."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mpanel_billing.http.routes.storefront import FILES
from mpanel_billing.resources import ROOT
from tests.sentences import as_template, sentences_of

_STRING = r'"((?:[^"\\]|\\.)*)"'
ENTRY = re.compile(rf"^  {_STRING}:(?:\n   )? {_STRING},$", re.MULTILINE)
SAID = re.compile(rf"\bsay\(\s*{_STRING}")
TABLE = re.compile(
    r"^const (?:SENTENCES|HEADLINES|TENANTS|TERMS|DOMAINS|NEEDS|TAX_WORDS) = {(.*?)}",
    re.MULTILINE | re.DOTALL,
)
PLACES = re.compile(r"\{\w+\}")

GERMAN = dict(ENTRY.findall((FILES / "words.js").read_text()))
ANSWERS = {
    english.replace(r"\"", '"'): german
    for english, german in ENTRY.findall((FILES / "answers.js").read_text())
}

PACKAGE = ROOT / "mpanel_billing"
ANSWERING = (
    *sorted(set((PACKAGE / "checkout").glob("*.py")) - {PACKAGE / "checkout/page_texts.py"}),
    *(
        PACKAGE / "catalogue" / f"{name}.py"
        for name in ("not_sold", "currencies", "cycles", "coupon_pricing", "pricing")
    ),
    *(PACKAGE / "catalogue" / f"{name}.py" for name in ("domain_pricing", "quantities", "bridge")),
    *(PACKAGE / "domains" / f"{name}.py" for name in ("auth_codes", "proof")),
    *(PACKAGE / name for name in ("http/rate_limits.py", "database/pool.py")),
)
"""What raises the errors that a shop gets, and says what a proof lacks."""


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


@pytest.mark.parametrize("name", ["marks.js", "shop.js", "success.js", "words.js"])
def test_what_a_script_says_has_its_german(name: str) -> None:
    assert said(name) - GERMAN.keys() == set()


@pytest.mark.parametrize("name", ["shop.html", "success.html"])
def test_what_a_page_says_has_its_german(name: str) -> None:
    page = Texts()
    page.feed((FILES / name).read_text())
    names = {"◆", "MigraHosting", "This demo needs JavaScript."}
    assert page.found - GERMAN.keys() - names == set()


@pytest.mark.parametrize("module", ANSWERING, ids=lambda path: path.stem)
def test_what_the_service_answers_has_its_german(module: Path) -> None:
    known = {as_template(english) for english in ANSWERS}
    assert sentences_of(module) - known == set()


def test_the_german_of_an_answer_fills_in_what_the_answer_has() -> None:
    for english, german in ANSWERS.items():
        assert set(PLACES.findall(german)) <= set(PLACES.findall(english)), english


def test_a_translation_fills_in_the_same() -> None:
    assert len(GERMAN) > 100
    for english, german in GERMAN.items():
        assert sorted(PLACES.findall(english)) == sorted(PLACES.findall(german)), english
