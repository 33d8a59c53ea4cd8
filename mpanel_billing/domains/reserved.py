"""Names that nobody can order: those of the host, of public suffixes, of mail providers.

Nor names that look like them, nor what lies under no public suffix.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mpanel_billing.domains.lookalikes import plain_skeleton_of
from mpanel_billing.domains.names import (
    DomainName,
    are_related,
    is_address,
    is_suffix,
    read_name,
    registrable_of,
    zone_of,
)
from mpanel_billing.errors import SettingsError
from mpanel_billing.resources import DEFAULT_RESERVED_DOMAINS


@dataclass(frozen=True, slots=True)
class ReservedNames:
    """Names in ASCII that are reserved, with all that lie under or above them."""

    names: frozenset[str]

    def reserve(self, name: DomainName) -> bool:
        """Whether nobody can order a name.

        It is reserved or looks like it, is a public suffix, or lies under none.
        """
        if registrable_of(name.ascii) is None or is_suffix(name.ascii):
            return True
        seen = {name.ascii}
        if name.unicode != name.ascii:
            seen.add(plain_skeleton_of(name.unicode))
        return any(are_related(each, reserved) for each in seen for reserved in self.names)


def load_reserved_names(path: Path | None, hosts: Iterable[str]) -> ReservedNames:
    """Return the names in a file, and those of the host.

    `path`: None is the list that comes with the service. `hosts` are our own: of each, the whole
    registrable domain is reserved. SettingsError names what is wrong in the file.
    """
    own = {zone_of(host) for host in hosts if not is_address(host)}
    listed = _read(path) if path else _shipped()
    return ReservedNames(frozenset({*listed, *own}))


@cache
def _shipped() -> frozenset[str]:
    return frozenset(_read(DEFAULT_RESERVED_DOMAINS))


def _read(path: Path) -> Iterable[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text in UTF-8"
        raise SettingsError(f"RESERVED_DOMAINS: {path}: {reason}") from None
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            yield _name_in(path, number, text)


def _name_in(path: Path, number: int, text: str) -> str:
    try:
        return read_name(text).ascii
    except ValueError as error:
        raise SettingsError(f"RESERVED_DOMAINS: {path}, line {number}: {error}") from None
