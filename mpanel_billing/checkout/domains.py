"""Reading the domain names that buyers type."""

import ipaddress
import re

import idna

from mpanel_billing.catalogue.order import DomainMode, OrderedDomain
from mpanel_billing.errors import InvalidRequestError

LONGEST_INPUT = 253
_SHOWN = 60
_TOP_LEVEL = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")


def read_domain(text: str, mode: DomainMode, *, field: str) -> OrderedDomain:
    """Read a domain name in ASCII or Unicode, whatever its case, spaces around it cut off.

    Raises InvalidRequestError, which names `field`, for what is no domain under a top-level
    domain. Source: IDNA 2008 with the mapping of UTS 46, as browsers do it.
    """
    name = text.strip().removesuffix(".")
    if not name:
        raise _invalid("Please enter your domain name.", field, "must not be empty")
    try:
        encoded = idna.encode(name, uts46=True, std3_rules=True).decode("ascii").lower()
        shown = idna.decode(encoded)
    except (idna.IDNAError, UnicodeError):
        raise _no_domain(text, field) from None
    if not _is_registrable(encoded):
        raise _no_domain(text, field)
    return OrderedDomain(mode, encoded, shown)


def _is_registrable(name: str) -> bool:
    _, dot, parent = name.partition(".")
    if not dot or len(name) > LONGEST_INPUT or _is_address(name):
        return False
    return _TOP_LEVEL.fullmatch(parent.rpartition(".")[2]) is not None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _no_domain(text: str, field: str) -> InvalidRequestError:
    shown = text.strip()[:_SHOWN]
    sentence = f'"{shown}" is no domain name. It should look like example.com.'
    return _invalid(sentence, field, "must be a domain name, like example.com")


def _invalid(sentence: str, field: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(sentence, code="invalid_domain", fields={field: problem})
