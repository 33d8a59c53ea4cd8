"""What monitoring and Stripe are answered. Their routes write it themselves, for speed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from mpanel_billing.answers import Moment


class _Service(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class UpAnswer(_Service):
    """It is."""

    status: Literal["ok"]


class UnreadyAnswer(_Service):
    """It is not, and why."""

    status: Literal["unavailable"]
    reason: str


class HealthAnswer(_Service):
    """How it goes; ages are seconds, null where nothing waits."""

    status: Literal["ok", "degraded"]
    timestamp: Moment
    version: str
    reasons: tuple[str, ...]
    oldest_unapplied_event_seconds: int | None
    oldest_unprovisioned_order_seconds: int | None


class UnwellAnswer(UnreadyAnswer):
    """The service is of no use just now, and why."""

    timestamp: Moment
    version: str


class ReceivedAnswer(_Service):
    """The event is kept; `outcome` says what it has changed."""

    received: Literal[True]
    outcome: str
