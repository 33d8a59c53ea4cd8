"""What services say in English, said in the other languages: sentences in which parts differ."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from mpanel_billing.numbers import rewrite_money

Named = Callable[[str], str]
"""What a state is called."""

_PLACE = re.compile(r"\{(\w+)\}")
_SAID = frozenset({"why", "error"})
"""Parts that are what others have said, and may be known, too."""
_MOST = 5000
"""Texts whose translation is kept: many lists have the same ones."""


class _Template(NamedTuple):
    pattern: re.Pattern[str]
    said: str


class Answers:
    """The sentences of one language. Of a text that it does not have, the amounts are rewritten."""

    def __init__(self, language: str, named: Named) -> None:
        """Read them; `named` says what a state is called."""
        self._language, self._named = language, named
        tables = answers_of(language)
        self._whole = _templates({**tables.get("answers", {}), **tables.get("details", {})})
        self._story = _templates(tables.get("story", {}))
        self.of = lru_cache(_MOST)(self._of)
        self.of_story = lru_cache(_MOST)(self._of_story)

    def _of(self, text: str) -> str | None:
        """Return a sentence or a detail; None if it is not known."""
        found = self._found(text, self._whole)
        return found and rewrite_money(found, self._language)

    def _of_story(self, text: str) -> str:
        """Return what an entry of a story says: several parts."""
        parts, said = text.split("; "), []
        while parts:
            declined = self._declined("; ".join(parts[:2])) if len(parts) > 1 else None
            said.append(declined or self._part(parts[0]))
            del parts[: 2 if declined else 1]
        return rewrite_money("; ".join(said), self._language)

    def _declined(self, text: str) -> str | None:
        """Return why a card was declined, and the card; a reason may be of two parts."""
        why, _, card = text.rpartition(", ")
        found = self._found(f"{why}.", self._whole) if why else None
        return f"{found.removesuffix('.')}, {card}" if found else None

    def _part(self, text: str) -> str:
        if found := self._declined(text) or self._told(text):
            return found
        return re.sub(r"^[a-z_]+\b|(?<=, )[a-z_]+$", lambda word: self._named(word[0]), text)

    def _told(self, text: str) -> str | None:
        return self._found(text, self._story) or self._found(text, self._whole)

    def _found(self, text: str, templates: tuple[_Template, ...]) -> str | None:
        for pattern, said in templates:
            if found := pattern.fullmatch(text):
                return said.format_map(dict(self._values(found)))
        return None

    def _values(self, found: re.Match[str]) -> Iterator[tuple[str, str]]:
        for name, value in found.groupdict().items():
            if name == "state":
                yield name, self._named(value)
            else:
                yield name, self._found(value, self._whole) or value if name in _SAID else value


@cache
def answers_of(language: str) -> Mapping[str, Mapping[str, str]]:
    """Return the tables of a language; none of the one that services speak."""
    file = Path(__file__).parent / f"answers_{language}.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}


def _templates(table: Mapping[str, str]) -> tuple[_Template, ...]:
    """Return patterns, the most exact first: those with the most signs of their own."""
    ordered = sorted(table, key=lambda text: -len(_PLACE.sub("", text)))
    return tuple(_Template(_pattern(english), table[english]) for english in ordered)


def _pattern(english: str) -> re.Pattern[str]:
    """Return what a sentence looks like; a state is one word."""
    parts = _PLACE.split(english)
    texts, names = map(re.escape, parts[::2]), parts[1::2]
    groups = (f"(?P<{name}>{'[a-z_]+' if name == 'state' else '.+?'})" for name in names)
    return re.compile(
        "".join(part for pair in zip(texts, [*groups, ""], strict=True) for part in pair), re.DOTALL
    )
