"""Bodies for monitoring and for Stripe. The routes write them without these models, for speed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from mpanel_billing.http.schemas.base import Moment


class _Schema(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, defer_build=True)


class UpResponse(_Schema):
    """The process is up."""

    status: Literal["ok"]


class UnreadyResponse(_Schema):
    """Why it is not ready."""

    status: Literal["unavailable"]
    reason: str


class HealthResponse(_Schema):
    """The state of the service; ages are in seconds, null if nothing is waiting."""

    status: Literal["ok", "degraded"]
    timestamp: Moment
    version: str
    reasons: tuple[str, ...]
    oldest_unapplied_event_seconds: int | None
    oldest_unprovisioned_order_seconds: int | None


class UnavailableResponse(UnreadyResponse):
    """Why the service is unavailable."""

    timestamp: Moment
    version: str


class EventReceivedResponse(_Schema):
    """The event is stored; `outcome` is what applying it did."""

    received: Literal[True]
    outcome: str
