"""Who may be the same person, as far as can be told: by e-mail address and by card.

Only hashes under a key are kept. They tell that two addresses, or two cards, are the same one, and
nothing else to who does not have the key.
"""

import hmac
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LABEL = b"mpanel-billing person v1: "
_FILE = Path(__file__).with_name("mail_providers.toml")


@dataclass(frozen=True, slots=True)
class _Provider:
    """What a mail provider makes of the names before the @."""

    domains: tuple[str, ...] = ()
    one_mailbox: bool = False
    ignored: str = ""
    tag: str = "+"


def _read_providers() -> Mapping[str, _Provider]:
    entries = tomllib.loads(_FILE.read_text(encoding="utf-8"))["providers"]
    providers = [_Provider(**{**entry, "domains": tuple(entry["domains"])}) for entry in entries]
    return {domain: provider for provider in providers for domain in provider.domains}


_PROVIDERS = _read_providers()
_OTHER = _Provider()


def mailbox_of(email: str) -> str:
    """Return one spelling for all addresses that lead to the same mailbox, as far as is known.

    In lower case, without tags and ignored characters, at the provider's first domain.
    """
    name, _, domain = email.lower().rpartition("@")
    provider = _PROVIDERS.get(domain, _OTHER)
    untagged = name.partition(provider.tag)[0] or name
    plain = "".join(letter for letter in untagged if letter not in provider.ignored)
    return f"{plain}@{provider.domains[0] if provider.one_mailbox else domain}"


class PersonHasher:
    """Makes the hashes, with a key that is derived from a secret."""

    def __init__(self, secret: bytes) -> None:
        """Derive the key; with another secret nobody is recognised any more."""
        self._key = hmac.digest(secret, _LABEL, "sha256")

    def of_address(self, email: str) -> bytes:
        """Return the hash of the mailbox that an e-mail address leads to."""
        return self._hash("address", mailbox_of(email))

    def of_card(self, fingerprint: str) -> bytes:
        """Return the hash of a card, by the fingerprint that Stripe gives its number."""
        return self._hash("card", fingerprint)

    def _hash(self, kind: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{kind} {text}".encode(), "sha256")
