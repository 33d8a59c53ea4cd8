"""What is reported: to us, of what was used, and by Stripe, of what it does not count."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Record:
    """How much a subscription has used of a meter, and when; `id` is the reporter's."""

    id: str
    subscription_id: UUID
    meter: str
    quantity: int
    used_at: datetime


@dataclass(frozen=True, slots=True)
class DroppedEvent:
    """A meter event of ours that Stripe does not count, and why."""

    id: UUID
    error: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    """How many meter events Stripe does not count, and those that it names."""

    dropped: int
    detail: str
    named: tuple[DroppedEvent, ...]
