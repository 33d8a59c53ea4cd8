"""What a driver is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from mpanel_billing.provisioning.service_state import Action, Actual


@dataclass(frozen=True, slots=True)
class Order:
    """One order to a driver, about the account of a subscription for one product type.

    A repetition has the same `idempotency_key`, `generation` and `details`, and must have no
    further effect. An order whose `generation` is lower than one seen before is out of date,
    and must have no effect at all. `external_ref` is the driver's name for the account, None
    before it is made.
    """

    action: Action
    idempotency_key: str
    subscription_id: UUID
    product_type: str
    generation: int
    external_ref: str | None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """The account is as ordered; `already`: it was so before. `external_ref` names it."""

    external_ref: str
    already: bool = False
    response: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The order may or may not have been carried out: to be repeated.

    `retry_after`: seconds that the other side asks for.
    """

    error: str
    response: Mapping[str, Any] | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was done, nor will be by a repetition: a person has to look."""

    error: str
    response: Mapping[str, Any] | None = None


Result: TypeAlias = Done | Unsettled | Refused


@dataclass(frozen=True, slots=True)
class Account:
    """What to inspect: the account of a subscription for one product type."""

    subscription_id: UUID
    product_type: str
    external_ref: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What the other side says of an account."""

    actual: Actual
    external_ref: str | None = None
    resources: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The other side could not be asked, or cannot tell."""

    reason: str


class Driver(Protocol):
    """Speaks to what has the accounts of some product types.

    A method returns within the driver's own timeout. It raises nothing on purpose: what goes
    wrong on the way is Unsettled, what is turned down is Refused.
    """

    @property
    def name(self) -> str:
        """The name that is kept with each account."""
        ...

    async def create(self, order: Order) -> Result:
        """Make the account, active, with the resources in `details`."""
        ...

    async def suspend(self, order: Order) -> Result:
        """Shut the account's doors and keep its data."""
        ...

    async def resume(self, order: Order) -> Result:
        """Open the account's doors again."""
        ...

    async def change(self, order: Order) -> Result:
        """Give the account the resources in `details`."""
        ...

    async def terminate(self, order: Order) -> Result:
        """Take the account away with its data."""
        ...

    async def inspect(self, account: Account) -> Found | Unknown:
        """Tell how the account is now."""
        ...
