"""Secrets of others that are kept for a while, encrypted under ENCRYPTION_KEYS."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mpanel_billing.errors import SettingsError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class Vault:
    """Encrypts under the first key of ENCRYPTION_KEYS, and reads what any of them has encrypted."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Keep the keys; without any nothing can be encrypted."""
        self._keys = tuple(keys)

    @property
    def has_keys(self) -> bool:
        """Whether anything can be encrypted."""
        return bool(self._keys)

    @cached_property
    def _fernet(self) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - takes 10 MB

        if not self._keys:
            raise SettingsError("ENCRYPTION_KEYS: is missing; see .env.example")
        return MultiFernet([Fernet(key.get_secret_value()) for key in self._keys])

    def encrypt(self, text: str) -> str:
        """Return a text as it is stored."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, stored: str) -> str | None:
        """Return a stored text; None if it was encrypted under a key that is gone."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as above

        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            return None
