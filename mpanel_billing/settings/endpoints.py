"""The settings of what hosts accounts: PROVISIONING_SERVICES."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
