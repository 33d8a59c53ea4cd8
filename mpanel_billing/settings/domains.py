"""The settings of tenants' names and of domains."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mpanel_billing.settings.environment import CommaSeparated, EnvironmentSettings

FEWEST_NAMESERVERS = 2
_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


class DomainSettings(EnvironmentSettings):
    """The settings of tenants' names and of domains (docs/domains.md)."""

    tenant_domain_suffix: str | None = None
    reserved_domains: Path | None = None
    domain_proof: Literal["off", "txt", "nameservers"] | None = None
    domain_proof_days: int = Field(default=14, ge=1, le=90)
    domain_nameservers: CommaSeparated[str] = ()
    domain_dns_roots: CommaSeparated[str] = ()
    domain_dns_port: int = Field(default=53, ge=1, le=65535)
    domain_renewal_days: int = Field(default=30, ge=2, le=90)
    domains_after_end: Literal["renew", "release"] = "renew"

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
    def _has_nameservers(self) -> Self:
        if self.domain_proof == "nameservers" and len(self.domain_nameservers) < FEWEST_NAMESERVERS:
            msg = "DOMAIN_PROOF=nameservers needs DOMAIN_NAMESERVERS: at least two hosts"
            raise ValueError(msg)
        return self
