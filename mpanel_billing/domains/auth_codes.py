"""Auth codes, which let a domain be taken to another registrar: kept encrypted, and shortly."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mpanel_billing.errors import InvalidRequestError, SettingsError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

LONGEST_AUTH_CODE = 255


class AuthCodes:
    """Encrypts under the first key of ENCRYPTION_KEYS, and reads what any of them has encrypted."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Keep the keys; without any nothing can be encrypted."""
        self._keys = tuple(keys)

    @cached_property
    def _fernet(self) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - takes 10 MB

        if not self._keys:
            raise SettingsError("ENCRYPTION_KEYS: is missing; see .env.example")
        return MultiFernet([Fernet(key.get_secret_value()) for key in self._keys])

    def encrypt(self, code: SecretStr) -> str:
        """Return a code as it is stored; InvalidRequestError if it cannot be one."""
        text = code.get_secret_value().strip()
        if not text or len(text) > LONGEST_AUTH_CODE or not text.isprintable():
            raise InvalidRequestError(
                "This is not an auth code. Your registrar shows it, also as EPP or transfer code.",
                code="invalid_auth_code",
                fields={"authCode": "is not an auth code"},
            )
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, stored: str) -> str | None:
        """Return a stored code; None if it was encrypted under a key that is gone."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as above

        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            return None
