"""What the rest of /api/admin answers: provisioning, reconciliation, the audit log."""

from typing import Any, Literal
from uuid import UUID

from mpanel_billing.answers import Answer, Moment, Part


class StuckPart(Part):
    """A subscription whose services are not as they should be."""

    subscription_id: UUID
    stripe_subscription_id: str | None
    status: str
    stripe_status: str | None
    domain: str | None
    attempts: int
    error: str
    wake_at: Moment | None
    hold_reason: str | None
    unfinished: bool


class HoldPart(Part):
    """A suspension by an operator."""

    subscription_id: UUID
    reason: str
    placed_by: str
    placed_at: Moment


class ServicePart(Part):
    """A service of a subscription: what is wished of it, and what it is."""

    product_type: str
    desired: str
    actual: str
    driver: str
    external_ref: str | None
    pending_action: str | None
    stopped: str | None
    attempts: int
    last_error: str | None
    next_attempt_at: Moment | None


class TimelinePart(Part):
    """Something that is on record."""

    at: Moment
    kind: str
    what: str
    detail: str | None


class RunPart(Part):
    """A run of the reconciliation; `objects`, `events` and `accounts` are how many it has seen."""

    id: UUID
    started_by: str
    livemode: bool
    dry_run: bool
    since_days: int | None
    started_at: Moment
    finished_at: Moment | None
    outcome: str | None
    running: bool
    last_error: str | None
    objects: int
    events: int
    accounts: int
    drift: int
    repaired: int


class EntryPart(Part):
    """A change by a key or at a command line."""

    id: int
    at: Moment
    actor: str
    key_id: str | None
    action: str
    target_type: str | None
    target_id: str | None
    details: dict[str, Any]
    request_id: str | None
    outcome: Literal["attempted", "done", "failed"]
    error: str | None


class StuckAnswer(Answer):
    """What is stuck, and the suspensions by operators that stand."""

    stuck: tuple[StuckPart, ...]
    holds: tuple[HoldPart, ...]


class RetriedAnswer(Answer):
    """How many subscriptions are tried again."""

    retried: int


class TimelineAnswer(Answer):
    """All that is on record of a subscription, in its order, and its services as they are."""

    subscription_id: UUID
    services: tuple[ServicePart, ...]
    timeline: tuple[TimelinePart, ...]


class DoneAnswer(Answer):
    """It is done."""

    subscription_id: UUID


class RunAnswer(Answer):
    """The latest run; null when there was none."""

    run: RunPart | None


class StartedAnswer(Answer):
    """The run that a worker begins."""

    run_id: UUID


class AuditAnswer(Answer):
    """The newest changes."""

    entries: tuple[EntryPart, ...]
