"""The settings, read once from the environment and `.env`."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as SettingsSourceError
from yarl import URL

from mpanel_billing.database_url import DatabaseUrl, read_database_url
from mpanel_billing.errors import SettingsError

SettingsT = TypeVar("SettingsT", bound=BaseSettings)

SHORTEST_API_KEY = 24
HASHED_KEY_PREFIX = "sha256:"
"""Prefix of a setting that holds the hash of a key, in hex, instead of the key."""
_HASHED_KEY = re.compile(rf"{HASHED_KEY_PREFIX}[0-9a-f]{{64}}")

FEWEST_NAMESERVERS = 2
_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts between which and us nobody listens."""

UNLIMITED = "off"
_RATE = re.compile(r"[1-9][0-9]{0,5}/(second|minute|hour|day)")
_ENCRYPTION_KEY = re.compile(r"[0-9A-Za-z_-]{43}=")
_PLACEHOLDER = "_replace_me"
"""The suffix of the secrets in .env.example."""

Commas = NoDecode
"""Marks a list separated by commas, not JSON."""


class CatalogueSettings(BaseSettings):
    """The settings of a command that needs no database."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

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


class EndpointSettings(BaseModel):
    """How to call what hosts accounts (docs/provisioning.md).

    `driver` defaults to `http` if there is a `url`, else `log`. `own` holds the settings of that
    driver, which the driver checks. A worker makes at most `concurrency` calls at once (None:
    PROVISIONING_CONCURRENCY) and starts at most `per_second` (None: no limit).
    """

    model_config = ConfigDict(frozen=True)

    driver: str | None = None
    concurrency: int | None = Field(default=None, ge=1, le=1000)
    per_second: float | None = Field(default=None, gt=0)
    own: dict[str, Any] = Field(default_factory=dict, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _set_apart(cls, value: object) -> object:
        """Move what is the driver's own into `own`, which is never shown: it holds secrets."""
        if not isinstance(value, Mapping):
            return value
        common = cls.model_fields.keys() - {"own"}
        return {
            **{name: given for name, given in value.items() if name in common},
            "own": {name: given for name, given in value.items() if name not in common},
        }

    @property
    def driver_name(self) -> str:
        """The driver that is named, or the default."""
        return self.driver or ("http" if "url" in self.own else "log")


class ServerSettings(EndpointSettings):
    """One of several servers of a product type, and what it takes.

    New accounts go to the servers in proportion to their `weight`; one that has `capacity` accounts
    gets no more (None: any number). An account that needs a tag goes to a server that has it among
    `tags`. `unnamed`: it has the accounts that were made before the servers had names.
    """

    weight: int = Field(default=1, ge=1, le=1000)
    capacity: int | None = Field(default=None, ge=0)
    tags: tuple[Annotated[str, Field(pattern=r"^\S+$")], ...] = ()
    unnamed: bool = False


class ServiceSettings(EndpointSettings):
    """What hosts the accounts of a product type: one service, or several servers by name.

    With `servers`, what is said beside them holds for each that does not say otherwise.
    """

    servers: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")], ServerSettings] = (
        Field(default_factory=dict)
    )

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, value: object) -> object:
        """Give each server what is said beside the servers."""
        if not isinstance(value, Mapping) or not isinstance(value.get("servers"), Mapping):
            return value
        common = {name: given for name, given in value.items() if name not in {"servers", "own"}}
        servers = {
            name: {**common, **given} if isinstance(given, Mapping) else given
            for name, given in value["servers"].items()
        }
        return {**value, "servers": servers}

    @model_validator(mode="after")
    def _has_one_unnamed(self) -> Self:
        if sum(server.unnamed for server in self.servers.values()) > 1:
            msg = "only one server can have the accounts from before: `unnamed`"
            raise ValueError(msg)
        return self

    @property
    def endpoints(self) -> Mapping[str, EndpointSettings]:
        """What is called, by its place in the setting: the servers, or the one service."""
        return {f"servers.{name}.": each for name, each in self.servers.items()} or {"": self}


class StripeSettings(BaseSettings):
    """The settings of commands that call Stripe before a webhook endpoint has a secret."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    stripe_secret_key: SecretStr
    stripe_api_base: AnyHttpUrl | None = None
    stripe_timeout_seconds: float = Field(default=20, gt=0, le=80)
    stripe_portal_configuration: str | None = Field(None, pattern=r"^bpc_[A-Za-z0-9_]+$")

    @field_validator("stripe_secret_key")
    @classmethod
    def _is_secret_key(cls, value: SecretStr) -> SecretStr:
        _refuse_placeholder(value)
        if not value.get_secret_value().startswith(
            ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
        ):
            msg = (
                "must be a Stripe secret key (sk_test_..., sk_live_..., or a restricted rk_... one)"
            )
            raise ValueError(msg)
        return value

    @cached_property
    def livemode(self) -> bool:
        """Whether the Stripe key is a live one (rule 14)."""
        return "_live_" in self.stripe_secret_key.get_secret_value()[:8]


class Settings(DatabaseSettings, StripeSettings):
    """The settings of the web and worker processes."""

    stripe_webhook_secret: Annotated[tuple[SecretStr, ...], Commas]
    person_hash_key: SecretStr | None = None
    encryption_keys: Annotated[tuple[SecretStr, ...], Commas] = ()
    checkout_payment_methods: Annotated[tuple[str, ...], Commas, Field(min_length=1)] = ("card",)
    checkout_adaptive_pricing: bool = False

    admin_api_keys: Annotated[tuple[SecretStr, ...], Commas] = ()
    billing_api_keys: Annotated[tuple[SecretStr, ...], Commas] = ()

    app_url: AnyHttpUrl
    cors_origin: Annotated[tuple[str, ...], Commas] = ()
    trusted_proxies: Annotated[tuple[str, ...], Commas] = ("127.0.0.1", "::1")
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

    tenant_domain_suffix: str | None = None
    reserved_domains: Path | None = None
    domain_proof: Literal["off", "txt", "nameservers"] | None = None
    domain_proof_days: int = Field(default=14, ge=1, le=90)
    domain_nameservers: Annotated[tuple[str, ...], Commas] = ()
    domain_dns_roots: Annotated[tuple[str, ...], Commas] = ()
    domain_dns_port: int = Field(default=53, ge=1, le=65535)
    grace_days: int = Field(default=7, ge=0, le=365)
    retention_days: int = Field(default=30, ge=0, le=3650)
    domain_renewal_days: int = Field(default=30, ge=2, le=90)
    domains_after_end: Literal["renew", "release"] = "renew"
    paused_collection: Literal["keep", "suspend"] = "keep"
    second_trials: Literal["flag", "end"] = "flag"
    debtor_orders: Literal["accept", "refuse"] = "accept"
    stripe_promotion_codes: Literal["accept", "refuse"] = "accept"
    tax: Literal["off", "automatic"] = "off"
    dispute_policy: Literal["flag", "suspend", "cancel"] = "flag"
    open_invoices_at_end: Literal["void", "keep"] = "void"
    provisioning_concurrency: int = Field(default=10, ge=1, le=1000)
    provisioning_services: dict[str, ServiceSettings] = {}

    mpanel_login_url: AnyHttpUrl | None = None
    panel_subscription_url: str | None = None
    panel_invoice_url: str | None = None

    console: Literal["off", "on"] = "off"
    console_proxy_header: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9-]{0,99}$")
    console_proxy_key: str | None = Field(None, pattern=r"^mpb_[0-9A-Za-z]{10}$")
    console_oidc_issuer: str | None = None
    console_oidc_client_id: str | None = None
    console_oidc_client_secret: SecretStr | None = None
    console_oidc_groups: dict[str, Annotated[str, Field(pattern=r"^mpb_[0-9A-Za-z]{10}$")]] = {}
    console_oidc_groups_claim: str = Field("groups", min_length=1)
    console_oidc_scopes: str = "openid profile email"

    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    otel_exporter_otlp_endpoint: AnyHttpUrl | None = None

    demo: bool = Field(default=False, alias="MPANEL_BILLING_DEMO")

    @field_validator(
        "stripe_webhook_secret",
        "cors_origin",
        "checkout_payment_methods",
        "admin_api_keys",
        "billing_api_keys",
        "encryption_keys",
        "trusted_proxies",
        "domain_nameservers",
        "domain_dns_roots",
        mode="before",
    )
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("stripe_webhook_secret")
    @classmethod
    def _are_webhook_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value:
            msg = "needs at least one secret (whsec_...)"
            raise ValueError(msg)
        for secret in value:
            _refuse_placeholder(secret)
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

    @field_validator("domain_nameservers")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        hosts = tuple(host.lower().removesuffix(".") for host in value)
        if not all(_HOST.fullmatch(host) for host in hosts):
            msg = "must be names of hosts, such as ns1.example.net,ns2.example.net"
            raise ValueError(msg)
        return tuple(dict.fromkeys(hosts))

    @field_validator("domain_dns_roots")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            ip_address(item)
        return value

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

    @model_validator(mode="after")
    def _has_nameservers(self) -> Self:
        if self.domain_proof == "nameservers" and len(self.domain_nameservers) < FEWEST_NAMESERVERS:
            msg = "DOMAIN_PROOF=nameservers needs DOMAIN_NAMESERVERS: at least two hosts"
            raise ValueError(msg)
        return self

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


def _read(url: SecretStr) -> DatabaseUrl:
    return read_database_url(url.get_secret_value())


def _refuse_placeholder(value: SecretStr) -> None:
    if value.get_secret_value().endswith(_PLACEHOLDER):
        msg = "is still the example value; set your own"
        raise ValueError(msg)


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


def _origin_of(text: str) -> str:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        msg = f"{text!r} is not an origin like https://example.com"
        raise ValueError(msg)
    return str(url.origin())
