"""Where settings come from, and how those that are lists and secrets are read."""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Part = TypeVar("Part")

_PLACEHOLDER = "_replace_me"
"""The suffix of the secrets in .env.example."""


class EnvironmentSettings(BaseSettings):
    """Settings that are read from the environment and `.env`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


CommaSeparated = Annotated[tuple[Part, ...], NoDecode, BeforeValidator(_split_commas)]
"""A list separated by commas, not JSON."""


def refuse_placeholder(value: SecretStr) -> None:
    """ValueError for a secret that is still the one of .env.example."""
    if value.get_secret_value().endswith(_PLACEHOLDER):
        msg = "is still the example value; set your own"
        raise ValueError(msg)
