"""What a driver receives and returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from mpanel_billing.provisioning.service_state import Action, Actual


@dataclass(frozen=True, slots=True)
class DriverCommand:
    """One command about the account of a subscription for one product type.

    A repetition has the same `idempotency_key`, `generation` and `details`, and must have no
    further effect. A command whose `generation` is lower than one already seen is out of date
    and must have no effect at all. `external_ref` is the driver's id of the account, None
    before it exists. `subscription_id` is the one that the account was created for.
    """

    action: Action
    idempotency_key: str
    subscription_id: UUID
    product_type: str
    generation: int
    external_ref: str | None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class AccessData:
    """What the owner of a new account logs in with; nothing of it is logged.

    `link` works once: the owner sets a password with it.
    """

    user_name: str | None = None
    server: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The account `external_ref` is as commanded; `already`: it was so before.

    `data_moved`: of a create with `movedFrom`, that the data of the old account is there too.
    `access`: of a create, what the owner logs in with; it is not part of `response`.
    """

    external_ref: str
    already: bool = False
    response: Mapping[str, Any] | None = None
    data_moved: bool = False
    access: AccessData | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The command may or may not have taken effect: it will be repeated.

    `retry_after`: the delay that the service asks for, in seconds.
    """

    error: str
    response: Mapping[str, Any] | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was done, and repeating it will not help: an operator has to look."""

    error: str
    response: Mapping[str, Any] | None = None


Result: TypeAlias = Done | Unsettled | Refused


@dataclass(frozen=True, slots=True)
class Account:
    """The account to inspect: that of a subscription for one product type.

    `account_id`: the subscription that it was created for, None if for this one.
    """

    subscription_id: UUID
    product_type: str
    external_ref: str | None
    account_id: UUID | None = None

    @property
    def created_for(self) -> UUID:
        """The id under which the driver has it."""
        return self.account_id or self.subscription_id


@dataclass(frozen=True, slots=True)
class Found:
    """The state of an account, as the service reports it.

    `suspended_by_service`: why the service itself has suspended it; None: it has not, or does not
    say. `generation`: the highest that it has accepted for the account; None: it does not say.
    `domains`: those that it has registered or transferred for it, as far as it says.
    """

    actual: Actual
    external_ref: str | None = None
    resources: Mapping[str, Any] | None = None
    suspended_by_service: str | None = None
    generation: int | None = None
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """The service could not be reached, or can never say (`permanently`)."""

    reason: str
    permanently: bool = False


@dataclass(frozen=True, slots=True)
class Fits:
    """The account can have these resources: what it uses is within them."""


@dataclass(frozen=True, slots=True)
class DoesNotFit:
    """The account uses more than these resources; `reason` says so to the customer."""

    reason: str


class Driver(Protocol):
    """Manages the accounts of some product types at one service.

    Each method returns within the driver's own timeout and does not raise: a failure with an
    unknown outcome is Unsettled, a rejection is Refused.
    """

    @property
    def name(self) -> str:
        """The name stored with each account."""
        ...

    async def create(self, command: DriverCommand) -> Result:
        """Create the account, active, with the resources in `details`.

        With `movedFrom` it moves: `server` has it as `externalRef`, and `domains` are its own. The
        one there is terminated only once its data was moved: the driver has done it and says so
        (`Done.data_moved`), or an operator does.
        """
        ...

    async def suspend(self, command: DriverCommand) -> Result:
        """Block access to the account and keep its data."""
        ...

    async def resume(self, command: DriverCommand) -> Result:
        """Allow access to the account again."""
        ...

    async def change(self, command: DriverCommand) -> Result:
        """Set the account's resources to those in `details`."""
        ...

    async def terminate(self, command: DriverCommand) -> Result:
        """Delete the account and its data."""
        ...

    async def inspect(self, account: Account) -> Found | Unknown:
        """Return the account's current state."""
        ...

    async def check_change(
        self, account: Account, resources: Mapping[str, Any]
    ) -> Fits | DoesNotFit | Unknown:
        """Return whether what the account uses fits into smaller resources; changes nothing."""
        ...
