"""The settings, read once from the environment and `.env`."""

from mpanel_billing.settings.console import LOOPBACK
from mpanel_billing.settings.database import CatalogueSettings, DatabaseSettings
from mpanel_billing.settings.endpoints import EndpointSettings, ServerSettings, ServiceSettings
from mpanel_billing.settings.loading import (
    describe_settings_error,
    load_catalogue_settings,
    load_database_settings,
    load_settings,
    load_stripe_settings,
)
from mpanel_billing.settings.service import HASHED_KEY_PREFIX, UNLIMITED, Settings
from mpanel_billing.settings.stripe import StripeSettings

__all__ = [
    "HASHED_KEY_PREFIX",
    "LOOPBACK",
    "UNLIMITED",
    "CatalogueSettings",
    "DatabaseSettings",
    "EndpointSettings",
    "ServerSettings",
    "ServiceSettings",
    "Settings",
    "StripeSettings",
    "describe_settings_error",
    "load_catalogue_settings",
    "load_database_settings",
    "load_settings",
    "load_stripe_settings",
]
