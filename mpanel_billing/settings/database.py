"""The settings of commands that need no key of Stripe's."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from mpanel_billing.database_url import DatabaseUrl, read_database_url
from mpanel_billing.errors import SettingsError
from mpanel_billing.settings.environment import EnvironmentSettings


class CatalogueSettings(EnvironmentSettings):
    """The settings of a command that needs no database."""

    catalogue_file: Path | None = None


class DatabaseSettings(CatalogueSettings):
    """The settings of commands that only use PostgreSQL."""

    database_url: SecretStr
    database_direct_url: SecretStr | None = None
    database_pool_min: int = Field(default=2, ge=0, le=1000)
    database_pool_max: int = Field(default=10, ge=1, le=1000)
    log_format: Literal["json", "text"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    keep_event_payloads_days: int = Field(default=90, ge=7, le=36_500)
    keep_events_days: int = Field(default=400, ge=31, le=36_500)
    keep_provisioning_log_days: int = Field(default=365, ge=1, le=36_500)
    keep_idempotency_keys_days: int = Field(default=1, ge=1, le=36_500)
    keep_job_log_days: int = Field(default=7, ge=1, le=36_500)
    # the last attempt to deliver one is made after three days
    keep_messages_days: int = Field(default=90, ge=4, le=36_500)
    # longer than the longest term that is billed by usage
    keep_usage_days: int = Field(default=400, ge=400, le=36_500)
    keep_audit_days: int = Field(default=3650, ge=90, le=36_500)
    audit_database_url: SecretStr | None = None
    # a recovery link works for 30 days after the day of the payment page
    keep_unpaid_orders_days: int = Field(default=90, ge=32, le=36_500)
    keep_access_data_days: int = Field(default=30, ge=1, le=36_500)
    erasures_file: Path | None = None

    @field_validator("database_url", "database_direct_url", "audit_database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            read_database_url(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _pool_bounds_agree(self) -> Self:
        if self.database_pool_min > self.database_pool_max:
            msg = "DATABASE_POOL_MIN must not exceed DATABASE_POOL_MAX"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _has_direct_url(self) -> Self:
        if self.database_direct_url is None and _read(self.database_url).bounced:
            msg = "DATABASE_URL has pgbouncer=true: set DATABASE_DIRECT_URL too, without PgBouncer"
            raise ValueError(msg)
        return self

    @property
    def pool_url(self) -> str:
        """The address for the pool, which may be PgBouncer's."""
        return _read(self.database_url).text

    @property
    def direct_url(self) -> str:
        """The address for connections that keep session state: never PgBouncer's."""
        return _read(self.database_direct_url or self.database_url).text

    @property
    def ignored_url_parameters(self) -> tuple[str, ...]:
        """Parameters of DATABASE_URL that only mean something to Prisma."""
        return _read(self.database_url).ignored

    def for_audit(self) -> Self:
        """Return these settings with the URL of the role that prunes the audit log.

        SettingsError without one.
        """
        if self.audit_database_url is None:
            raise SettingsError("AUDIT_DATABASE_URL: is missing; see .env.example")
        return self.model_copy(update={"database_url": self.audit_database_url})

    def without_pgbouncer(self) -> Self:
        """Return these settings with the direct URL for everything."""
        url = SecretStr(self.direct_url)
        return self.model_copy(update={"database_url": url, "database_direct_url": None})


def _read(url: SecretStr) -> DatabaseUrl:
    return read_database_url(url.get_secret_value())
