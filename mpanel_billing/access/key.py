"""The format of an API key, `mpb_<id>_<secret><checksum>`, and the scopes that it can have.

The prefix tells people and leak scanners that the key is ours, the id finds its row and is not
secret, and the checksum tells a mistyped key from an unknown one. Scanners can search for
`mpb_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}`.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, get_args

from mpanel_billing.errors import InvalidRequestError

Scope = Literal[
    "admin",
    "admin:read",
    "admin:operate",
    "admin:money",
    "admin:keys",
    "billing",
    "billing:read",
    "billing:change",
    "billing:refund",
    "billing:portal",
    "billing:access-data",
    "billing:customers",
    "billing:transfer-out",
    "billing:usage",
    "billing:any-customer",
]

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""All scopes; a CHECK constraint holds the same set."""

PREFIX = "mpb_"

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH = 10
_SECRET_LENGTH = 43
"""256 bits in this alphabet."""
_CHECKSUM_LENGTH = 6
"""32 bits in this alphabet."""
_KEY = re.compile(
    rf"({PREFIX}[0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}"
)


Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key is limited to: networks, calls a minute, refunds a day; None means no limit.

    `refunds_per_day` is in minor units, for each currency, and a day of UTC.
    """

    networks: tuple[Network, ...] | None = None
    calls_per_minute: int | None = None
    refunds_per_day: int | None = None


class MistypedKeyError(ValueError):
    """A text with the prefix of a key that cannot be a key."""


@dataclass(frozen=True, slots=True, repr=False)
class NewKey:
    """A new key; its text is known only now."""

    id: str
    text: str


def make_key() -> NewKey:
    """Generate a key from 256 random bits."""
    id_ = PREFIX + _random_text(_ID_LENGTH)
    body = f"{id_}_{_random_text(_SECRET_LENGTH)}"
    return NewKey(id_, body + _checksum(body))


def read_key_id(text: str) -> str | None:
    """Return the id in a key; None for a text without our prefix.

    MistypedKeyError if a character is wrong, missing or extra.
    """
    if not text.startswith(PREFIX):
        return None
    match = _KEY.fullmatch(text)
    if match is None or _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        raise MistypedKeyError
    return match[1]


def hash_key(text: str) -> bytes:
    """Return the SHA-256 that is stored of a key; why not a slower hash: docs/decisions/0009."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """Return the CRC-32 of a text in the alphabet of keys."""
    rest, letters = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, place = divmod(rest, len(_ALPHABET))
        letters = _ALPHABET[place] + letters
    return letters


def include_scope(scopes: Iterable[str], wanted: Scope) -> bool:
    """Return whether the scopes include the wanted one; `admin` includes all of `admin:...`."""
    return bool({wanted, wanted.partition(":")[0]} & {*scopes})


def read_scopes(words: Iterable[str]) -> tuple[Scope, ...]:
    """Return the named scopes without repeats; InvalidRequestError for an unknown one."""
    given = {*words}
    unknown = given - {*SCOPES}
    if unknown or not given:
        wrong = f"Unknown scope {min(unknown)!r}" if unknown else "A key needs a scope"
        raise InvalidRequestError(f"{wrong}; the scopes are: {', '.join(SCOPES)}.")
    return tuple(scope for scope in SCOPES if scope in given)
