"""Settings that work, and leave a door open: who can read them, and who can guess them."""

import re
import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from mpanel_billing.doctor.finding import Finding, some, warning
from mpanel_billing.settings import HASHED_KEY_PREFIX, UNLIMITED, Settings

FEWEST_CHARACTERS = 8
"""Different characters in a secret of 24; a random one has about 12 even in hexadecimal."""

_WORDS = re.compile(
    "change.?me|secret|password|passw0rd|example|replace|1234567|qwerty", re.IGNORECASE
)
_LIMITS = (
    "rate_limit_orders",
    "rate_limit_lookups",
    "rate_limit_wrong_keys",
    "rate_limit_wrong_codes",
)
_GENERATE = "replace it, for example by what `openssl rand -hex 32` prints"


def find_exposed(settings: Settings, env_file: Path) -> Iterator[Finding]:
    """Warn of what is readable, guessable, unencrypted, unlimited, or not kept."""
    yield from _readable(env_file)
    yield from _weak_secrets(settings)
    yield from _unencrypted(settings)
    yield from _unlimited(settings)
    if settings.erasures_file is None:
        yield warning(
            "ERASURES_FILE",
            "is not set: a restored backup brings back persons who were erased",
            "name a file outside of the database's backup (docs/privacy.md)",
        )


def _readable(env_file: Path) -> Iterator[Finding]:
    if not env_file.is_file():
        return
    mode = stat.S_IMODE(env_file.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning(
            str(env_file),
            f"others than its owner can read or change it (mode {mode:04o}), and it has secrets",
            f"chmod 600 {env_file}",
        )


def _weak_secrets(settings: Settings) -> Iterator[Finding]:
    for name, secret in _secrets(settings):
        if is_weak(secret):
            yield warning(name, "is easily guessed: a word, or few different characters", _GENERATE)


def _secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the secrets that a person has chosen: Stripe makes its own."""
    for name in ("admin_api_keys", "billing_api_keys"):
        for key in getattr(settings, name):
            yield name.upper(), key.get_secret_value()
    if settings.person_hash_key:
        yield "PERSON_HASH_KEY", settings.person_hash_key.get_secret_value()
    for key in settings.encryption_keys:
        yield "ENCRYPTION_KEYS", key.get_secret_value()
    for product_type, service in settings.provisioning_services.items():
        for place, endpoint in service.endpoints.items():
            for name in ("token", "secret"):
                if given := endpoint.own.get(name):
                    yield f"PROVISIONING_SERVICES: {product_type}.{place}{name}", _text_of(given)


def _text_of(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def is_weak(secret: str) -> bool:
    """Return whether a secret has a well-known word or few characters; a hash shows nothing."""
    if secret.startswith(HASHED_KEY_PREFIX):
        return False
    return len(set(secret)) < FEWEST_CHARACTERS or _WORDS.search(secret) is not None


def _unencrypted(settings: Settings) -> Iterator[Finding]:
    for product_type, service in settings.provisioning_services.items():
        for place, endpoint in service.endpoints.items():
            url = urlsplit(str(endpoint.own.get("url", "")))
            if url.scheme == "http" and not _is_local(url.hostname or ""):
                yield warning(
                    f"PROVISIONING_SERVICES: {product_type}.{place}".rstrip("."),
                    f"its token and customers' data go to {url.hostname} without encryption",
                    "use https://",
                )


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _unlimited(settings: Settings) -> Iterator[Finding]:
    names = [name.upper() for name in _LIMITS if getattr(settings, name) == UNLIMITED]
    if names:
        yield warning(
            "rate limits",
            f"off: {some(names)}",
            "unset them, unless something in front limits requests (docs/access.md)",
        )
