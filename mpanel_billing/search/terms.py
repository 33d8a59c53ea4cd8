"""Reads what an operator typed as what it may be. Pure."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from mpanel_billing.domains.names import DomainName, read_name
from mpanel_billing.errors import InvalidRequestError

SHORTEST = 2
LONGEST = 255
ACCENTED = "äöüàáâãåąçćčďđèéêëęěğìíîïıłñńňòóôõøőřśšșşťțùúûůűýÿźżž"
PLAIN = "aouaaaaaacccddeeeeeegiiiiilnnnoooooorssssttuuuuuyyzzz"
"""Letters as people also type them; sql/queries/search.sql and the index of words have the same."""

_FOLDED = str.maketrans(ACCENTED, PLAIN)
_STRIPE_ID = re.compile(r"[a-z]{2,12}(_[a-z]{2,12}){0,3}_[A-Za-z0-9_]{3,}")
_WORD = re.compile(r"[^\s'\"\\(){}<>|&!:*,;]+")
_WITHIN = re.compile(r"[@.+_-]+")
_HOST = re.compile(r"(?:[a-z]+://)?(?:www\.)?([^/:?#\s@]+)(?:[/:?#]\S*)?", re.IGNORECASE)
_LABELS = re.compile(r"[\w-]+(\.[\w-]*)*")
_SHORTEST_ID_START = 8
_ID_DIGITS = 32
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class OurId:
    """An id of one of our rows."""

    id: UUID

    @property
    def least(self) -> UUID:
        """The first of the ids that are meant: it alone."""
        return self.id

    greatest = least


@dataclass(frozen=True, slots=True)
class StripeId:
    """An id at Stripe, such as `sub_...` or `in_...`, or of a message."""

    id: str


@dataclass(frozen=True, slots=True)
class Address:
    """A whole e-mail address."""

    email: str


@dataclass(frozen=True, slots=True)
class Words:
    """Beginnings of words of a name, a company or an e-mail address: all must occur.

    The words of an address are also what is between its dots and hyphens, but for its top-level
    domain: `mueller` finds `kontakt@hosting-mueller.example`.
    """

    words: tuple[str, ...]

    @property
    def tsquery(self) -> str:
        """The words as a query of full-text search, without accents and in lower case."""
        return " & ".join(_tsquery(word) for word in self.words)


@dataclass(frozen=True, slots=True)
class DomainStart:
    """The beginning of a domain name, in lower case."""

    start: str


@dataclass(frozen=True, slots=True)
class IdStart:
    """The beginning of an id of one of our rows: the least and the greatest that has it."""

    least: UUID
    greatest: UUID


Certain: TypeAlias = OurId | StripeId | Address | DomainName
"""What names something, if it is there at all."""
Start: TypeAlias = DomainStart | IdStart
Term: TypeAlias = Certain | Words | Start


def read_terms(text: str) -> tuple[Term, ...]:
    """Return what a text may be, the most certain first.

    Raises InvalidRequestError if it is shorter than two characters, or longer than 255.
    """
    text = " ".join(text.split())
    if not SHORTEST <= len(text) <= LONGEST:
        raise InvalidRequestError(f"Search for {SHORTEST} to {LONGEST} characters.")
    certain = _id(text)
    if certain is not None:
        return (certain,)
    if "@" in text.strip("@"):
        return (Address(text), *_words(text))
    return tuple(term for term in (_domain(text), *_words(text), *_starts(text)) if term)


def fold(word: str) -> str:
    """Return a word in lower case and without accents, as the index has it."""
    return word.lower().translate(_FOLDED).replace("ß", "ss")


def _id(text: str) -> OurId | StripeId | None:
    if _STRIPE_ID.fullmatch(text):
        return StripeId(text)
    try:
        return OurId(UUID(text))
    except ValueError:
        return None


def _domain(text: str) -> DomainName | None:
    """Read a domain, also from the address of a page."""
    host = _HOST.fullmatch(text)
    for name in (host[1], text) if host else (text,):
        with suppress(ValueError):
            return read_name(name)
    return None


def _words(text: str) -> tuple[Words, ...]:
    host = _HOST.fullmatch(text) if "/" in text else None
    words = tuple(_WORD.findall(host[1] if host else text))
    words = tuple(word for word in words if _WITHIN.sub("", word))
    return (Words(words),) if words else ()


def _starts(text: str) -> Iterator[Start]:
    host = _HOST.fullmatch(text)
    if host and len(host[1]) >= SHORTEST and _LABELS.fullmatch(host[1]):
        yield DomainStart(host[1].lower())
    digits = text.lower().replace("-", "")
    if _SHORTEST_ID_START <= len(digits) < _ID_DIGITS and _HEX.fullmatch(digits):
        yield IdStart(*(UUID(digits.ljust(_ID_DIGITS, each)) for each in "0f"))


def _tsquery(word: str) -> str:
    return " & ".join(_either(part) for part in fold(word).split("@") if _WITHIN.sub("", part))


def _either(word: str) -> str:
    """Ask for a word as a whole, as the index has domains, or for what is between its dots."""
    parts = [part for part in _WITHIN.split(word) if part]
    if parts == [word]:
        return _beginning(word)
    within = " & ".join(map(_beginning, parts))
    return f"({_beginning(word)} | ({within}))"


def _beginning(word: str) -> str:
    return f"'{word}':*"
