"""Bodies and queries of /api/admin: events, reconciliation, deleted rows, the audit log."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StrictBool

from mpanel_billing.access import audit
from mpanel_billing.http.schemas.base import (
    ONLY_NUMBERS,
    Moment,
    Reason,
    Response,
    Schema,
    SearchText,
    StrictRequest,
)
from mpanel_billing.webhooks.inbox import Status

MOST_EVENTS = 1000
MOST_REPLAYED = 1000
MOST_ENTRIES = 1000


class EventsQuery(StrictRequest):
    """Which events to return."""

    status: Status | None = Field(None, description="Only events with this status.")
    limit: Annotated[int, Field(ge=1, le=MOST_EVENTS, description="The most to return.")] = 50
    before: SearchText | None = Field(
        None, description="Only events received before that one: the last of the page before."
    )


class ReplayFailedQuery(StrictRequest):
    """Which of the failed events: all, or some."""

    type: SearchText | None = Field(None, description="Only events of this type.")
    since_days: Annotated[
        int | None, Field(ge=1, le=3650, description="Only those received in the last days.")
    ] = None
    after: SearchText | None = Field(
        None, description="Only events received after that one: `after` of the answer before."
    )
    limit: Annotated[
        int, Field(ge=1, le=MOST_REPLAYED, description="The most to replay in one request.")
    ] = 200


class ReplayIgnoredQuery(ReplayFailedQuery):
    """Which of the ignored events."""

    type: SearchText = Field(description="Only events of this type.")


class AuditQuery(StrictRequest):
    """Which entries to return."""

    target: SearchText | None = Field(None, description="Only changes to the object with this id.")
    actor: SearchText | None = Field(None, description="Only changes by this key or person.")
    limit: Annotated[int, Field(ge=1, le=MOST_ENTRIES, description="The most to return.")] = 50
    before: Annotated[
        int, Field(ge=1, le=audit.LAST_ID, description="Only entries before this id.")
    ] = audit.LAST_ID


class SettleAuditRequest(StrictRequest):
    """Whether a change took effect, and how you found out."""

    outcome: Literal["done", "failed"]
    reason: Reason


class CancelDeletedRequest(StrictRequest):
    """How a deleted subscription is cancelled: with or without a refund of its latest payment."""

    refund: StrictBool


class ReconcileRequest(StrictRequest):
    """What to reconcile: everything, or what was created in the last `sinceDays` days.

    `dryRun` only reports. An interrupted run with the same options resumes, except with `restart`.
    """

    since_days: Annotated[int, Field(ge=1, le=3650), ONLY_NUMBERS] | None = None
    dry_run: StrictBool = False
    restart: StrictBool = False


class EventSchema(Schema):
    """An event in the inbox; `detail` says why it was ignored or has failed."""

    id: str
    type: str
    object_id: str | None
    status: str
    attempts: int
    created: Moment | None
    received_at: Moment
    next_attempt_at: Moment | None
    detail: str | None


class EventDetailSchema(Schema):
    """An event with its payload, which is null after pruning."""

    id: str
    type: str
    api_version: str | None
    object_id: str | None
    livemode: bool
    status: str
    reason: str | None
    attempts: int
    last_error: str | None
    created: Moment | None
    received_at: Moment
    next_attempt_at: Moment | None
    applied_at: Moment | None
    payload: dict[str, Any] | None


class EventsResponse(Response):
    """The newest events, or those before an event."""

    events: tuple[EventSchema, ...]


class EventResponse(Response):
    """One event."""

    event: EventDetailSchema


class ReplayResponse(Response):
    """The result of replaying an event."""

    id: str
    outcome: str
    reason: str | None


class ReplayedResponse(Response):
    """How many events had which outcome; `busy`: another process is applying them.

    `after` is the last one, if there are more: ask again with it. Null: all have been tried.
    """

    outcomes: dict[str, int]
    after: str | None


class ReconcileRunSchema(Schema):
    """A reconciliation run; `objects`, `events` and `accounts` count what it has checked."""

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


class AuditEntrySchema(Schema):
    """A change made with a key or on the command line."""

    id: int
    at: Moment
    actor: str
    person: str | None
    key_id: str | None
    action: str
    target_type: str | None
    target_id: str | None
    details: dict[str, Any]
    request_id: str | None
    outcome: Literal["attempted", "done", "failed"]
    error: str | None


class DeletedSubscriptionSchema(Schema):
    """A subscription whose row was deleted here; `accounts` are product types."""

    subscription_id: UUID
    stripe_subscription_id: str
    stripe_status: str | None
    domain: str
    deleted_at: Moment
    accounts: tuple[str, ...]


class DeletedSubscriptionsResponse(Response):
    """The deleted subscriptions that wait for a decision."""

    subscriptions: tuple[DeletedSubscriptionSchema, ...]


class SettledResponse(Response):
    """The subscription; `refunded` is in minor units, null if nothing was refunded."""

    subscription_id: UUID
    refunded: int | None


class ReconcileRunResponse(Response):
    """The latest run; null if there has been none."""

    run: ReconcileRunSchema | None


class ReconcileStartedResponse(Response):
    """The run that a worker will start."""

    run_id: UUID


class AuditResponse(Response):
    """The newest changes."""

    entries: tuple[AuditEntrySchema, ...]


class SettledAuditResponse(Response):
    """A change whose outcome is known now."""

    id: int
    outcome: Literal["done", "failed"]
