"""What the console says is in its catalogue, in each language."""

import re
from pathlib import Path
from string import Formatter

import pytest

import mpanel_billing.console
from mpanel_billing.console.app import MODULES
from mpanel_billing.console.words import kinds_of, refusals_of, texts_of, words_of
from mpanel_billing.console.words.answers import answers_of
from mpanel_billing.database.pool import Pool
from mpanel_billing.languages import LANGUAGES
from mpanel_billing.mirror.types.declines import REASONS, reason_in_words
from tests.console.test_same_as_the_api import DONE_BY, changed
from tests.sentences import as_template, sentences_of

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


def test_one_thing_has_one_word_in_german() -> None:
    """A trial is a Probezeit, evidence Belege: another word would be another thing."""
    texts = [*texts_of("de").values(), *refusals_of("de").values()]
    texts += [text for table in answers_of("de").values() for text in table.values()]
    texts += [text for kind in kinds_of("de").values() for text in kind.values()]
    for other in ("Testphase", "Testzeit", "Nachweise "):
        assert not [text for text in texts if other in text], other


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


PACKAGE = Path(mpanel_billing.console.__file__).parents[1]
ANSWERING = (
    *sorted((PACKAGE / "subscriptions").glob("*.py")),
    *(PACKAGE / "access" / f"{name}.py" for name in ("ceilings", "giving", "keys", "sessions")),
    *(
        PACKAGE / "provisioning" / f"{name}.py"
        for name in ("operations", "moves", "leniency", "late_payments")
    ),
    PACKAGE / "reconciliation" / "deleted.py",
    PACKAGE / "reconciliation" / "runs.py",
    *(PACKAGE / name for name in ("database/pool.py", "http/rate_limits.py", "usage/limits.py")),
    *(PACKAGE / "search" / f"{name}.py" for name in ("customer", "notes", "service", "work_lists")),
    *(PACKAGE / "webhooks" / f"{name}.py" for name in ("inbox", "replaying")),
    *(PACKAGE / "stripe_gateway" / f"{name}.py" for name in ("errors", "responses")),
)
"""What does the console's actions, and reads what it shows."""
NO_ACTION = re.compile(
    r"adopted_domains|domain_charges|domain_renewals|owned_domains|price_announcements|replaced_domains"
    r"|taxing|portal"
)
"""What only the API and the command line do, or is told by its code."""
UNSAID = {
    "Web hosting, plan {}{}, billed {} in advance. Ordered on {}; the payment is for invoice {}.",
    "The event could not be stored; please send it again.",
}
"""For banks, and for Stripe."""


@pytest.mark.parametrize("module", ANSWERING, ids=lambda path: path.stem)
def test_what_services_answer_has_its_words_in_each_language(module: Path) -> None:
    for language in list(LANGUAGES)[1:]:
        known = {as_template(text) for text in answers_of(language)["answers"]}
        if not NO_ACTION.fullmatch(module.stem):
            assert sentences_of(module) - known - UNSAID == set()


def test_why_a_payment_was_declined_is_told_in_each_language() -> None:
    for language in list(LANGUAGES)[1:]:
        for code in REASONS:
            why = reason_in_words(code, None, None)
            assert why
            said = words_of(language).known(why)
            assert said, why
            told = words_of(language).of_story(f"failed; {why.removesuffix('.')}, visa 0341")
            assert told.endswith(f"; {said.removesuffix('.')}, visa 0341")


def test_an_answer_is_filled_in_with_what_it_has_and_with_states_and_amounts_of_the_language() -> (
    None
):
    for language in list(LANGUAGES)[1:]:
        for table in answers_of(language).values():
            for text, said in table.items():
                assert fields_of(said) <= fields_of(text), text
    german = words_of("de")
    assert german.of("At most $1,234.50 can be refunded.") == (
        "Höchstens 1.234,50 $ können erstattet werden."
    )
    assert german.of("This invoice is void, so that cannot be done with it.").endswith("storniert.")
    assert german.of("What nobody knows costs $1.50.") == "What nobody knows costs 1,50 $."
    assert german.known("What nobody knows.") is None
    told = german.of_story("applied (a reason); paid $7.99 of $9.00; attempts: 2; active, paid")
    assert told == "angewendet (a reason); 7,99 $ von 9,00 $ bezahlt; Versuche: 2; aktiv, bezahlt"
    assert words_of("en").of_story("applied; paid $7.99 of $9.00") == "applied; paid $7.99 of $9.00"


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
