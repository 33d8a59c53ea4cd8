"""What the console says, in each of its languages."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web

from mpanel_billing.console.words.answers import Answers
from mpanel_billing.languages import ENGLISH, choose
from mpanel_billing.numbers import rewrite_money


class Said(str):
    """A sentence in English, as logs have it, that pages can say in the person's language."""

    name: str
    values: Mapping[str, object]


def say(name: str, /, **values: object) -> Said:
    """Return a text of the catalogue, as the message of an error."""
    said = Said(words_of(ENGLISH)(name, **values))
    said.name, said.values = name, values
    return said


class Words:
    """The catalogue of one language: `words("find.title")`."""

    def __init__(self, language: str) -> None:
        """Read the catalogue of a language of LANGUAGES."""
        self.language = language
        self._texts = texts_of(language)
        self._kinds = kinds_of(language)
        self._refusals = refusals_of(language)
        self._answers = Answers(language, lambda state: self.get(f"state.{state}", state))

    def __call__(self, name: str, /, **values: object) -> str:
        """Return a text with its values filled in; KeyError for a name that it does not have."""
        return self._texts[name].format(**values) if values else self._texts[name]

    def of(self, message: str, code: str = "") -> str:
        """Return an error, or what a service has recorded, in this language, or else in English.

        What the console raises has a name; what services say is known by its sentence, or else an
        error by its code, and then the text may hold what the service said, as `said`.
        """
        if isinstance(message, Said):
            return self(message.name, **message.values)
        told = rewrite_money(message, self.language)
        return self.known(message) or self._refusals.get(code, "{said}").format(said=told)

    def known(self, text: str) -> str | None:
        """Return what a service has recorded; None if this language has no such text."""
        return self._answers.of(text)

    def of_story(self, text: str) -> str:
        """Return what an entry of a story says, in this language."""
        return self._answers.of_story(text)

    def of_kind(self, part: str, kind: str, otherwise: str) -> str:
        """Return what a kind of trouble means or is settled by, or else what the registry says."""
        return self._kinds.get(kind, {}).get(part, otherwise)

    def get(self, name: str, otherwise: str) -> str:
        """Return a text, or another one if the catalogue does not have it."""
        return self._texts.get(name, otherwise)


@cache
def texts_of(language: str) -> Mapping[str, str]:
    """Return the texts of a language by their names, such as `find.title`."""
    tables = tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text("utf-8"))
    return {f"{table}.{key}": text for table, of in tables.items() for key, text in of.items()}


@cache
def kinds_of(language: str) -> Mapping[str, Mapping[str, str]]:
    """Return `meaning` and `settled_by` of the kinds of trouble, if not those of the registry."""
    file = Path(__file__).parent / f"kinds_{language}.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}


@cache
def refusals_of(language: str) -> Mapping[str, str]:
    """Return what services refuse, by the codes of their errors, if not in their own words."""
    file = Path(__file__).parent / f"refusals_{language}.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}


@cache
def words_of(language: str) -> Words:
    """Return the catalogue of a language."""
    return Words(language)


def choose_language(request: web.Request, chosen: str | None) -> str:
    """Return the language that a person has chosen, or else that their browser asks for first."""
    return choose(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""), chosen)
