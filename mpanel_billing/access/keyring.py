"""Identifies the holder of a key, from the settings or the database."""

import hmac
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from pydantic import SecretStr

from mpanel_billing.access import repository
from mpanel_billing.access.key import (
    MistypedKeyError,
    Network,
    Scope,
    hash_key,
    include_scope,
    read_key_id,
)
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import UnauthenticatedError
from mpanel_billing.settings import HASHED_KEY_PREFIX, Settings

LOOK_UP_SECONDS = 5.0
"""How long a key is cached; a revoked key works for up to that long."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a key: its name, its id if it is in the database, its scopes and limits.

    `networks` are where it may be used from; None: anywhere. `counts_calls`: it has a ceiling.
    """

    name: str
    key_id: str | None
    scopes: frozenset[str]
    networks: Sequence[Network] | None = None
    counts_calls: bool = False

    def may(self, wanted: Scope) -> bool:
        """Return whether the key has the wanted scope."""
        return include_scope(self.scopes, wanted)

    def may_come_from(self, client: IPv4Address | IPv6Address | None) -> bool:
        """Return whether the key may be used from an address; None is an unknown one."""
        if self.networks is None:
            return True
        return client is not None and any(client in network for network in self.networks)


class UnknownKeyError(UnauthenticatedError):
    """A key that is unknown, mistyped, revoked or expired; the message says which."""

    challenge = f'{UnauthenticatedError.challenge}, error="invalid_token"'


class KeyRing:
    """Identifies keys of the settings, and looks up those of the database."""

    def __init__(
        self, pool: Pool, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Hash the keys of the settings; `clock` returns seconds."""
        self._pool = pool
        self._configured = _configured_keys(settings)
        self._clock = clock
        # Keyed by the hash of the whole key, and only valid keys: so it never outgrows the number
        # of keys, and lookup time reveals nothing about any.
        self._proven: dict[bytes, _Proof] = {}

    def has_proven(self, given: str) -> bool:
        """Return whether this exact key was valid when this process last checked it."""
        return hash_key(given) in self._proven

    async def identify(self, given: str) -> Holder:
        """Return the holder of a key.

        UnknownKeyError if it is not valid; DatabaseUnavailableError if it is not in the settings
        and the database cannot be read.
        """
        key_hash = hash_key(given)
        proof = self._proven.get(key_hash)
        if proof is None or proof.until <= self._clock():
            proof = self._proven[key_hash] = await self._prove(given, key_hash)
        return proof.holder

    def find_configured(self, is_it: Callable[[bytes], bool]) -> Holder | None:
        """Return the holder of the key of the settings whose hash is recognised."""
        return _holder_of([key for key in self._configured if is_it(key.key_hash)])

    async def _prove(self, given: str, key_hash: bytes) -> "_Proof":
        if configured := _find_configured(self._configured, key_hash):
            return _Proof(configured, math.inf)
        until = self._clock() + LOOK_UP_SECONDS
        try:
            return _Proof(await self._find_stored(_read_key_id(given), key_hash), until)
        except UnknownKeyError:
            self._proven.pop(key_hash, None)
            raise

    async def _find_stored(self, key_id: str, key_hash: bytes) -> Holder:
        async with acquired(self._pool) as conn:
            key = await repository.get_key(conn, key_id)
            if key is None or not hmac.compare_digest(key.key_hash, key_hash):
                raise UnknownKeyError("Unknown key.")
            if key.revoked or key.expired:
                state = "is revoked" if key.revoked else "has expired"
                raise UnknownKeyError(f"The key {key_id} {state}.")
            if key.use_unknown:
                await repository.note_use(conn, key_id)
        return Holder(key.name, key_id, key.scopes, key.networks, key.counts_calls)


@dataclass(frozen=True, slots=True)
class _Proof:
    """The holder of a valid key, cached until a time of the ring's clock."""

    holder: Holder
    until: float


@dataclass(frozen=True, slots=True)
class _ConfiguredKey:
    """One of ADMIN_API_KEYS or BILLING_API_KEYS."""

    key_hash: bytes
    name: str
    scope: Scope


def _configured_keys(settings: Settings) -> Sequence[_ConfiguredKey]:
    """Name the keys of the settings by their position: `settings:admin:1`."""
    lists: Sequence[tuple[Scope, Sequence[SecretStr]]] = (
        ("admin", settings.admin_api_keys),
        ("billing", settings.billing_api_keys),
    )
    return [
        _ConfiguredKey(_hash_of(value.get_secret_value()), f"settings:{scope}:{place}", scope)
        for scope, values in lists
        for place, value in enumerate(values, 1)
    ]


def _hash_of(value: str) -> bytes:
    """Return the hash in a setting, or the hash of the key in it."""
    if value.startswith(HASHED_KEY_PREFIX):
        return bytes.fromhex(value.removeprefix(HASHED_KEY_PREFIX))
    return hash_key(value)


def _find_configured(keys: Sequence[_ConfiguredKey], key_hash: bytes) -> Holder | None:
    """Compare with every key in constant time; a key in both lists has both scopes."""
    return _holder_of([key for key in keys if hmac.compare_digest(key.key_hash, key_hash)])


def _holder_of(found: Sequence[_ConfiguredKey]) -> Holder | None:
    if not found:
        return None
    return Holder(found[0].name, None, frozenset(key.scope for key in found))


def _read_key_id(given: str) -> str:
    try:
        key_id = read_key_id(given)
    except MistypedKeyError:
        raise UnknownKeyError(
            "The key is mistyped: a character is wrong, missing or extra."
        ) from None
    if key_id is None:
        raise UnknownKeyError("Unknown key.")
    return key_id
