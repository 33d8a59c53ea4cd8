"""Domain names in their one form, and how one lies to another. Pure."""

import ipaddress
import re
from dataclasses import dataclass
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

from mpanel_billing.domains.lookalikes import skeleton_of

LONGEST_NAME = 253

_TOP_LEVEL = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")
_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+")


@dataclass(frozen=True, slots=True)
class DomainName:
    """A name below a top-level domain: in ASCII for machines, in Unicode for people.

    Two names are the same if their `ascii` is: lower case, IDNA, without a dot at the end.
    """

    ascii: str
    unicode: str

    @property
    def registrable(self) -> str:
        """The part that is registered: `example.co.uk` of `www.example.co.uk`.

        Of a name that nobody can register, as mPanel's own tenants may have, the last two labels.
        """
        return registrable_of(self.ascii) or ".".join(self.ascii.split(".")[-2:])

    @property
    def skeleton(self) -> str:
        """How its registrable part looks: another with this skeleton is hard to tell from it."""
        depth = self.registrable.count(".") + 1
        return skeleton_of(".".join(self.unicode.split(".")[-depth:]))

    @property
    def imitates(self) -> str | None:
        """The skeleton of those that it may be taken for; None: it looks like no other name.

        The owner of `apple.com` is not refused because of an imitation.
        """
        return self.skeleton if "xn--" in self.registrable else None

    @property
    def forms(self) -> tuple[str, ...]:
        """The name as others may have written it."""
        return tuple(dict.fromkeys((self.ascii, self.unicode)))

    @property
    def lineage(self) -> tuple[str, ...]:
        """The name and those that it lies under, up to the registrable one, in each form."""
        depth = self.registrable.count(".") + 1
        return tuple(upper for form in self.forms for upper in _lineage(form, depth))


def _lineage(name: str, depth: int) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - depth + 1)]


def read_name(text: str) -> DomainName:
    """Read a name in ASCII or Unicode, in any case, with surrounding spaces or a dot at the end.

    Raises ValueError unless it is a domain below a top-level domain. Source: IDNA 2008 with the
    UTS 46 mapping, as in browsers.
    """
    try:
        encoded = idna.encode(text.strip(), uts46=True, std3_rules=True).decode("ascii").lower()
        name = encoded.removesuffix(".")
        shown = idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        raise ValueError("is not a domain name") from None
    if not _is_below_top_level(name):
        raise ValueError("is not a domain name")
    return DomainName(name, shown)


def is_name(text: str) -> bool:
    """Whether a text is a domain name in ASCII, in its one form."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def _is_below_top_level(name: str) -> bool:
    _, dot, parent = name.partition(".")
    if not dot or len(name) > LONGEST_NAME or is_address(name):
        return False
    return _TOP_LEVEL.fullmatch(parent.rpartition(".")[2]) is not None


def is_address(name: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def registrable_of(name: str) -> str | None:
    """Return the registrable part of a name in ASCII; None if it has none.

    A public suffix has none, nor has a name under a top-level domain that does not exist.
    Suffixes that companies offer, such as `github.io`, are names like any other. Source: the
    ICANN part of publicsuffix.org's list.
    """
    found: str | None = _suffixes_of_registries().privatesuffix(name)
    return found


def zone_of(host: str) -> str:
    """Return the part of a host's name that one customer has, also of what a company offers.

    `ada.github.io` of `www.ada.github.io`. Unknown top-level domains count; a suffix is its own.
    """
    return _all_suffixes().privatesuffix(host) or host


def is_suffix(name: str) -> bool:
    """Whether anyone may have names under a name in ASCII, at a registry or at a company."""
    return _all_suffixes().privatesuffix(name) is None


@cache
def _suffixes_of_registries() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False, only_icann=True)


@cache
def _all_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def are_related(one: str, other: str) -> bool:
    """Whether two names are the same, or one lies under the other."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
