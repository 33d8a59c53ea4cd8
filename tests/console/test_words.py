"""What the console says is in its catalogue, in each language."""

import re
from pathlib import Path
from string import Formatter

import pytest

import mpanel_billing.console
from mpanel_billing.console.app import MODULES
from mpanel_billing.console.words import LANGUAGES, kinds_of, refusals_of, texts_of, words_of
from mpanel_billing.database.pool import Pool
from tests.console.test_same_as_the_api import DONE_BY, changed

TEMPLATES = Path(mpanel_billing.console.__file__).parent / "templates"
CODE = sorted(Path(mpanel_billing.console.__file__).parent.rglob("*.py"))
CALL = re.compile(r"""\bt\(["']([\w.]+)["']""")
NAMED = re.compile(r'"([a-z_]+\.[a-z_]+)"')
TABLES = {name.partition(".")[0] for name in texts_of("en")}


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_each_language_says_the_same_things_with_the_same_values() -> None:
    first, *others = (texts_of(language) for language in LANGUAGES)
    for other in others:
        assert other.keys() == first.keys()
        for name, text in first.items():
            assert fields_of(other[name]) == fields_of(text), name


def used() -> set[str]:
    names = set()
    for template in TEMPLATES.glob("*.html"):
        text = template.read_text()
        names |= {one for one in CALL.findall(text) if not one.endswith(".")}
        names |= {one for one in NAMED.findall(text) if one.partition(".")[0] in TABLES}
    return names


def test_what_the_templates_say_is_in_the_catalogue() -> None:
    assert used() - texts_of("en").keys() == set()


def test_each_action_has_its_words() -> None:
    for pages in MODULES:
        for name in pages.actions:
            assert {f"action.{name}", f"confirm.{name}"} <= texts_of("en").keys()


async def test_each_kind_of_trouble_is_told_in_each_language(pool: Pool) -> None:
    rows = await pool.fetch("SELECT kind, meaning, settled_by FROM billing_trouble_kinds")
    first, *others = LANGUAGES
    for language in others:
        assert list(kinds_of(language)) == [row["kind"] for row in rows]
        for row in rows:
            for part in ("meaning", "settled_by"):
                assert words_of(first).of_kind(part, row["kind"], row[part]) == row[part]
                said = words_of(language).of_kind(part, row["kind"], row[part])
                assert said not in ("", row[part])
                assert said.rstrip(".") == said or part == "meaning"


def test_what_the_actions_routes_refuse_is_told_in_each_other_language() -> None:
    """The general codes come with a sentence of the page; the others are known by their code."""
    codes = {
        code
        for address in DONE_BY
        for kind, named in changed()[address].refusals.items()
        for code in named or (kind.code,)
    }
    _, *others = LANGUAGES
    for language in others:
        assert codes - GENERAL <= refusals_of(language).keys()


GENERAL = {"conflict", "invalid_request", "not_found"}

OF_PROVIDERS = {"provider.py", "id_token.py"}
"""What is wrong with an identity provider is for who runs it, and partly in its own words."""


@pytest.mark.parametrize("module", CODE, ids=lambda path: path.name)
def test_what_is_refused_is_said_in_each_language(module: Path) -> None:
    if module.name not in OF_PROVIDERS:
        assert not re.findall(r"""Error\(\s*f?["'][A-Z].*""", module.read_text())


def test_nothing_is_in_the_catalogue_that_is_not_said() -> None:
    composed = {
        "action",
        "confirm",
        "done",
        "cancel",
        "refund",
        "deliveries",
        "customer",
        "evidence",
        "scope",
        "catalogue",
        "credit",
        "balance",
        "invoice_act",
        "state",
        "coupons",
        "domains",
        "servers",
        "proof",
        "story",
    }
    said = used()
    source = "".join(path.read_text() for path in CODE)
    unused = {
        name
        for name in texts_of("en").keys() - said
        if name.partition(".")[0] not in composed and f'"{name}"' not in source
    }
    assert unused - {f"health.{unit}" for unit in ("hours", "minutes")} == set()


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_has_a_script_or_a_style_of_its_own(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", text)
