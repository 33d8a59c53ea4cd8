"""Reads settings, and says what is wrong with them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as SettingsSourceError

from mpanel_billing.errors import SettingsError
from mpanel_billing.settings.database import CatalogueSettings, DatabaseSettings
from mpanel_billing.settings.service import Settings
from mpanel_billing.settings.stripe import StripeSettings

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load_catalogue_settings() -> CatalogueSettings:
    """Read the setting for the catalogue file only; SettingsError names what is wrong."""
    return _load(CatalogueSettings)


def load_database_settings() -> DatabaseSettings:
    """Read the settings for PostgreSQL only; SettingsError names what is wrong."""
    return _load(DatabaseSettings)


def load_stripe_settings() -> StripeSettings:
    """Read the settings for Stripe only; SettingsError names what is wrong."""
    return _load(StripeSettings)


def load_settings(env_file: Path | None = None) -> Settings:
    """Read all settings; SettingsError names every variable that is missing or malformed.

    They are in the environment and in `env_file`, by default `.env` of the working directory.
    """
    return _load(Settings, env_file)


def _load(kind: type[SettingsT], env_file: Path | None = None) -> SettingsT:
    try:
        return kind(_env_file=env_file) if env_file else kind()
    except ValidationError as error:
        raise SettingsError(describe_settings_error(error)) from None
    except SettingsSourceError as error:
        raise SettingsError(_describe_source_error(error)) from None


def describe_settings_error(error: ValidationError, within: Sequence[str] = ()) -> str:
    """Return one line per fault, without its value (rule 12).

    `within` is the path to what was validated: the variable, and the place in its JSON.
    """
    return "\n".join(
        _describe([*within, *map(str, fault["loc"])], fault["msg"]) for fault in error.errors()
    )


def _describe_source_error(error: SettingsSourceError) -> str:
    """Name the variable, without its value (rule 12)."""
    name = re.search(r'field "(\w+)"', str(error))
    return f"{name[1].upper() if name else 'a setting'}: is not valid JSON; see .env.example"


def _describe(path: Sequence[str], message: str) -> str:
    """Name the variable and, in JSON, the place within it."""
    sentence = message.removeprefix("Value error, ")
    if not path:
        return sentence
    if sentence == "Field required":
        sentence = "is missing; see .env.example"
    within = ".".join(path[1:])
    return f"{path[0].upper()}: {within + ' ' if within else ''}{sentence}"
