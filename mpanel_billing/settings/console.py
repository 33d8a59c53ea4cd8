"""The settings of the operators' console, and who may sign in."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from mpanel_billing.settings.environment import EnvironmentSettings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts between which and us nobody listens."""


class ConsoleSettings(EnvironmentSettings):
    """The settings of the console (docs/console.md)."""

    console: Literal["off", "on"] = "off"
    console_proxy_header: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9-]{0,99}$")
    console_proxy_key: str | None = Field(None, pattern=r"^mpb_[0-9A-Za-z]{10}$")
    console_oidc_issuer: str | None = None
    console_oidc_client_id: str | None = None
    console_oidc_client_secret: SecretStr | None = None
    console_oidc_groups: dict[str, Annotated[str, Field(pattern=r"^mpb_[0-9A-Za-z]{10}$")]] = Field(
        {}
    )
    console_oidc_groups_claim: str = Field("groups", min_length=1)
    console_oidc_scopes: str = "openid profile email"

    @model_validator(mode="after")
    def _knows_what_the_proxy_may(self) -> Self:
        if (self.console_proxy_header is None) != (self.console_proxy_key is None):
            msg = (
                "CONSOLE_PROXY_HEADER and CONSOLE_PROXY_KEY go together: who the proxy names has"
                " the scopes of that key, by its id mpb_..."
            )
            raise ValueError(msg)
        return self

    @field_validator("console_oidc_issuer")
    @classmethod
    def _is_issuer(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "https://unset")
        if not parts.hostname or parts.query or parts.fragment:
            msg = "must be the address of the issuer, such as https://login.example.com"
            raise ValueError(msg)
        if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in LOOPBACK):
            msg = "must begin with https://: people are believed to be who it says they are"
            raise ValueError(msg)
        return value

    @field_validator("console_oidc_scopes")
    @classmethod
    def _asks_for_an_id_token(cls, value: str) -> str:
        if "openid" not in value.split():
            msg = "must have openid among the scopes"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _knows_whom_the_provider_lets_in(self) -> Self:
        names = ("console_oidc_issuer", "console_oidc_client_id", "console_oidc_groups")
        given = [name for name in names if getattr(self, name)]
        if given and len(given) < len(names):
            msg = (
                "CONSOLE_OIDC_ISSUER, CONSOLE_OIDC_CLIENT_ID and CONSOLE_OIDC_GROUPS go together:"
                " who signs in has the scopes of the key of their group"
            )
            raise ValueError(msg)
        return self
