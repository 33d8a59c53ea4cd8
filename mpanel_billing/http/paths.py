"""The variable parts of the routes' addresses."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from mpanel_billing.errors import BillingError, MalformedRequestError, NotFoundError

_NAME = r"^[A-Za-z0-9_.-]{1,255}$"


class Path(BaseModel):
    """The variable parts of an address; parts that do not match are refused with `mismatch`."""

    model_config = ConfigDict(frozen=True)
    mismatch: ClassVar[type[BillingError]] = NotFoundError
    mismatch_message: ClassVar[str] = "Not found."


class IdPath(Path):
    """One of our ids."""

    mismatch = MalformedRequestError
    mismatch_message = "The id in the address must be a UUID."

    id: UUID


class EventPath(Path):
    """An event."""

    id: Annotated[str, Field(pattern=_NAME, description="Stripe's id of the event.")]


class DisputePath(Path):
    """A dispute."""

    id: Annotated[str, Field(pattern=_NAME, description="Stripe's id of the dispute.")]


class ChargePath(IdPath):
    """A one-off charge of a subscription."""

    charge_id: Annotated[str, Field(pattern=_NAME, description="Stripe's id of the charge.")]


class AuditEntryPath(Path):
    """An entry of the audit log."""

    id: Annotated[int, Field(ge=1, le=2**63 - 1, description="The entry's id.")]


class SubscriptionPath(Path):
    """A subscription, by either id."""

    id: Annotated[str, Field(pattern=_NAME, description="The subscription's id, ours or Stripe's.")]


class ServicePath(SubscriptionPath):
    """A service of a subscription."""

    product_type: Annotated[
        str, Field(pattern=_NAME, description="A product type of the catalogue.")
    ]


class OwnServicePath(IdPath):
    """A service of a subscription, by our id."""

    product_type: Annotated[
        str, Field(pattern=_NAME, description="A product type of the catalogue.")
    ]


class ServerPath(Path):
    """A server of PROVISIONING_SERVICES."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="Its name in PROVISIONING_SERVICES."
        ),
    ]


class PricePath(Path):
    """A price at Stripe."""

    id: Annotated[str, Field(pattern=_NAME, description="The price's id at Stripe.")]
