"""The settings of the web and worker processes."""

import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, Self

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from yarl import URL

from mpanel_billing.settings.console import ConsoleSettings
from mpanel_billing.settings.database import DatabaseSettings
from mpanel_billing.settings.domains import DomainSettings
from mpanel_billing.settings.endpoints import ServiceSettings
from mpanel_billing.settings.environment import CommaSeparated, refuse_placeholder
from mpanel_billing.settings.stripe import StripeSettings

SHORTEST_API_KEY = 24
HASHED_KEY_PREFIX = "sha256:"
"""Prefix of a setting that holds the hash of a key, in hex, instead of the key."""
_HASHED_KEY = re.compile(rf"{HASHED_KEY_PREFIX}[0-9a-f]{{64}}")

UNLIMITED = "off"
_RATE = re.compile(r"[1-9][0-9]{0,5}/(second|minute|hour|day)")
_ENCRYPTION_KEY = re.compile(r"[0-9A-Za-z_-]{43}=")


class Settings(DatabaseSettings, StripeSettings, DomainSettings, ConsoleSettings):
    """All settings."""

    stripe_webhook_secret: CommaSeparated[SecretStr]
    person_hash_key: SecretStr | None = None
    encryption_keys: CommaSeparated[SecretStr] = ()
    checkout_payment_methods: Annotated[CommaSeparated[str], Field(min_length=1)] = ("card",)
    checkout_adaptive_pricing: bool = False

    admin_api_keys: CommaSeparated[SecretStr] = ()
    billing_api_keys: CommaSeparated[SecretStr] = ()

    app_url: AnyHttpUrl
    cors_origin: CommaSeparated[str] = ()
    trusted_proxies: CommaSeparated[str] = ("127.0.0.1", "::1")
    rate_limit_orders: str = "30/minute"
    rate_limit_lookups: str = "300/minute"
    rate_limit_wrong_keys: str = "20/minute"
    rate_limit_wrong_codes: str = "10/minute"
    rate_limit_store: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=4242, ge=0, le=65535)
    ready_for: Literal["writes", "reads"] = "writes"

    reconcile_hour: Annotated[int, Field(ge=0, le=23)] | Literal["off"] = 3
    reconcile_requests_per_second: float = Field(default=10, gt=0, le=100)
    usage_requests_per_second: float = Field(default=20, gt=0, le=1000)

    grace_days: int = Field(default=7, ge=0, le=365)
    retention_days: int = Field(default=30, ge=0, le=3650)
    paused_collection: Literal["keep", "suspend"] = "keep"
    second_trials: Literal["flag", "end"] = "flag"
    debtor_orders: Literal["accept", "refuse"] = "accept"
    stripe_promotion_codes: Literal["accept", "refuse"] = "accept"
    tax: Literal["off", "automatic"] = "off"
    dispute_policy: Literal["flag", "suspend", "cancel"] = "flag"
    open_invoices_at_end: Literal["void", "keep"] = "void"
    provisioning_concurrency: int = Field(default=10, ge=1, le=1000)
    provisioning_services: dict[str, ServiceSettings] = Field({})

    mpanel_login_url: AnyHttpUrl | None = None
    panel_subscription_url: str | None = None
    panel_invoice_url: str | None = None

    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    otel_exporter_otlp_endpoint: AnyHttpUrl | None = None

    demo: bool = Field(default=False, alias="MPANEL_BILLING_DEMO")

    @field_validator("stripe_webhook_secret")
    @classmethod
    def _are_webhook_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value:
            msg = "needs at least one secret (whsec_...)"
            raise ValueError(msg)
        for secret in value:
            refuse_placeholder(secret)
        if not all(secret.get_secret_value().startswith("whsec_") for secret in value):
            msg = "each secret must start with whsec_"
            raise ValueError(msg)
        return value

    @field_validator("person_hash_key")
    @classmethod
    def _is_long_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value and len(value.get_secret_value()) < SHORTEST_API_KEY:
            msg = f"needs at least {SHORTEST_API_KEY} characters"
            raise ValueError(msg)
        return value

    @field_validator("encryption_keys")
    @classmethod
    def _are_encryption_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(_ENCRYPTION_KEY.fullmatch(key.get_secret_value()) for key in value):
            msg = "each key is 32 random bytes in URL-safe Base64; see .env.example"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _can_keep_auth_codes(self) -> Self:
        if "domain" in self.provisioning_services and not self.encryption_keys:
            msg = (
                "ENCRYPTION_KEYS: is missing: PROVISIONING_SERVICES has a domain driver, and auth"
                " codes of domains are stored encrypted; see .env.example"
            )
            raise ValueError(msg)
        return self

    @field_validator("provisioning_services")
    @classmethod
    def _has_one_registrar(cls, value: dict[str, ServiceSettings]) -> dict[str, ServiceSettings]:
        if "domain" in value and value["domain"].servers:
            msg = "domain.servers: a registrar has none"
            raise ValueError(msg)
        return value

    @field_validator("admin_api_keys", "billing_api_keys")
    @classmethod
    def _are_long_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < SHORTEST_API_KEY for key in value):
            msg = f"each key needs at least {SHORTEST_API_KEY} characters"
            raise ValueError(msg)
        hashed = [
            text for key in value if (text := key.get_secret_value()).startswith(HASHED_KEY_PREFIX)
        ]
        if not all(_HASHED_KEY.fullmatch(text) for text in hashed):
            msg = f"a hashed key is {HASHED_KEY_PREFIX} and 64 hexadecimal digits in lower case"
            raise ValueError(msg)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            ip_network(item)
        return value

    @field_validator(
        "rate_limit_orders",
        "rate_limit_lookups",
        "rate_limit_wrong_keys",
        "rate_limit_wrong_codes",
    )
    @classmethod
    def _is_rate(cls, value: str) -> str:
        if value != UNLIMITED and not _RATE.fullmatch(value):
            msg = f"must be like 30/minute (or second, hour, day), or {UNLIMITED}"
            raise ValueError(msg)
        return value

    @field_validator("rate_limit_store")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("redis://", "rediss://")):
            msg = "must start with redis:// or rediss://"
            raise ValueError(msg)
        return value

    @field_validator("panel_subscription_url", "panel_invoice_url")
    @classmethod
    def _is_link(cls, value: str | None) -> str | None:
        if value and not (value.startswith(("https://", "http://")) and "{id}" in value):
            msg = "must be like https://panel.example.com/subscriptions/{id}"
            raise ValueError(msg)
        return value

    @field_validator("cors_origin")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin_of(item) for item in value)

    @cached_property
    def allowed_origins(self) -> frozenset[str]:
        """The browser origins that may call the API: APP_URL's and those of CORS_ORIGIN."""
        return frozenset({_origin_of(str(self.app_url)), *self.cors_origin})

    @cached_property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The proxies whose X-Forwarded-For is trusted."""
        return tuple(ip_network(item) for item in self.trusted_proxies)

    @property
    def panel_links(self) -> Mapping[str, str]:
        """The addresses in mPanel by object, with `{id}` for its id."""
        links = {"subscription": self.panel_subscription_url, "invoice": self.panel_invoice_url}
        return {name: link for name, link in links.items() if link}

    @property
    def person_secret(self) -> bytes:
        """The secret behind the hashes of persons: PERSON_HASH_KEY, else the webhook secret."""
        secret = self.person_hash_key or self.stripe_webhook_secret[0]
        return secret.get_secret_value().encode()

    @cached_property
    def tenant_suffix(self) -> str:
        """The zone in which a tenant without its own domain gets a name."""
        return self.tenant_domain_suffix or self.app_host

    @property
    def proof_of_domains(self) -> Literal["off", "txt", "nameservers"]:
        """How buyers prove that a domain is theirs; by default they have to with a live key."""
        return self.domain_proof or ("txt" if self.livemode else "off")

    @cached_property
    def app_host(self) -> str:
        """The host of APP_URL."""
        return URL(str(self.app_url)).host or "localhost"


def _origin_of(text: str) -> str:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        msg = f"{text!r} is not an origin like https://example.com"
        raise ValueError(msg)
    return str(url.origin())
