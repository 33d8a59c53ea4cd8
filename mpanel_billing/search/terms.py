"""Reads what an operator typed as what it may be. Pure."""

import re
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from mpanel_billing.domains.names import DomainName, read_name
from mpanel_billing.errors import InvalidRequestError

SHORTEST = 2
LONGEST = 255

_STRIPE_ID = re.compile(r"[a-z]{2,12}(_[a-z]{2,12}){0,3}_[A-Za-z0-9_]{3,}")
_WORD = re.compile(r"[^\s'\"\\(){}<>|&!:*,;]+")


@dataclass(frozen=True, slots=True)
class OurId:
    """An id of one of our rows."""

    id: UUID


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
    """Beginnings of words of a name, a company or an e-mail address: all must occur."""

    words: tuple[str, ...]


Term: TypeAlias = OurId | StripeId | Address | DomainName | Words


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
        return (Address(text), Words((text,)))
    words = tuple(_WORD.findall(text))
    domain = _domain(text)
    return (*((domain,) if domain else ()), *((Words(words),) if words else ()))


def _id(text: str) -> OurId | StripeId | None:
    if _STRIPE_ID.fullmatch(text):
        return StripeId(text)
    try:
        return OurId(UUID(text))
    except ValueError:
        return None


def _domain(text: str) -> DomainName | None:
    try:
        return read_name(text)
    except ValueError:
        return None
