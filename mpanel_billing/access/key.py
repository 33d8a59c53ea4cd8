"""What a key looks like: `mpb_<id>_<secret><checksum>`.

The beginning tells people and leak scanners whose key it is, the id finds its row and may be
told, and the checksum tells a slip of the pen from a key that is not ours to know. A scanner finds
all of them by `mpb_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}`.
"""

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass

MARK = "mpb_"

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH = 10
_SECRET_LENGTH = 43
"""So many letters of this alphabet have 256 bits."""
_CHECKSUM_LENGTH = 6
"""So many hold any 32 bits."""
_KEY = re.compile(
    rf"({MARK}[0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}"
)


class MistypedKeyError(ValueError):
    """A text that begins like a key of ours, and was never one."""


@dataclass(frozen=True, slots=True, repr=False)
class NewKey:
    """A key that was just made up: the only moment at which its text is known."""

    id: str
    text: str


def make_key() -> NewKey:
    """Make up a key, out of 256 random bits."""
    id_ = MARK + _random_text(_ID_LENGTH)
    body = f"{id_}_{_random_text(_SECRET_LENGTH)}"
    return NewKey(id_, body + _checksum(body))


def read_key_id(text: str) -> str | None:
    """Return the id that is part of a key; None for a text that is no key of this kind.

    MistypedKeyError where it was meant to be one, and a letter is wrong, missing or too many.
    """
    if not text.startswith(MARK):
        return None
    match = _KEY.fullmatch(text)
    if match is None or _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        raise MistypedKeyError
    return match[1]


def hash_key(text: str) -> bytes:
    """Return what is stored of a key: its SHA-256. Why no slower one: docs/decisions/0009."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """Write the CRC-32 of a text in the alphabet of keys."""
    rest, letters = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, place = divmod(rest, len(_ALPHABET))
        letters = _ALPHABET[place] + letters
    return letters
