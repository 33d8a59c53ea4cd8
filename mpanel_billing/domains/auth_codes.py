"""Auth codes, which let a domain be taken to another registrar: kept encrypted, and shortly."""

from collections.abc import Sequence

from pydantic import SecretStr

from mpanel_billing.encryption import Vault
from mpanel_billing.errors import InvalidRequestError

LONGEST_AUTH_CODE = 255


class AuthCodes:
    """Encrypts codes under ENCRYPTION_KEYS, and reads them again."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Keep the keys; without any nothing can be encrypted."""
        self._vault = Vault(keys)

    def encrypt(self, code: SecretStr) -> str:
        """Return a code as it is stored; InvalidRequestError if it cannot be one."""
        text = code.get_secret_value().strip()
        if not text or len(text) > LONGEST_AUTH_CODE or not text.isprintable():
            raise InvalidRequestError(
                "This is not an auth code. Your registrar shows it, also as EPP or transfer code.",
                code="invalid_auth_code",
                fields={"authCode": "is not an auth code"},
            )
        return self._vault.encrypt(text)

    def decrypt(self, stored: str) -> str | None:
        """Return a stored code; None if it was encrypted under a key that is gone."""
        return self._vault.decrypt(stored)
