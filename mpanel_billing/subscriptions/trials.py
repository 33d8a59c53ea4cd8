"""Extend a trial, or end it: the subscription is then charged, and goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.invoices import preview_upcoming
from mpanel_billing.stripe_gateway.subscriptions import preview_change
from mpanel_billing.subscriptions.lifecycle import (
    REASON,
    Changed,
    ChangeRequest,
    make_change,
    refresh,
    refuse_uncharged,
    require_changeable,
)
from mpanel_billing.subscriptions.records import Subscription

LONGEST = timedelta(days=730)
"""How long Stripe lets a trial last."""


@dataclass(frozen=True, slots=True)
class TrialPreview:
    """What is charged now, in minor units, and when the trial ends; None: now.

    `then` is what is charged when it ends later, as it stands; None: nothing.
    """

    currency: str
    due_now: int
    ends_at: datetime | None
    then: int | None = None


async def preview_trial(
    mirror: Mirror, request: ChangeRequest, ends_at: datetime | None
) -> TrialPreview:
    """Return what `change_trial` would charge; raises as it."""
    held = await refresh(mirror, request)
    _require_trial(held, ends_at)
    if ends_at is not None:
        upcoming = await preview_upcoming(mirror.stripe, held.stripe_id or "")
        then = upcoming.amount_due if upcoming and not held.will_end else None
        return TrialPreview(held.currency, 0, ends_at, then)
    invoice = await preview_change(mirror.stripe, held.stripe_id or "", {"trial_end": "now"})
    return TrialPreview(invoice.currency, invoice.amount_due, None)


async def change_trial(
    mirror: Mirror, request: ChangeRequest, ends_at: datetime | None, *, reason: str
) -> Changed:
    """Let a trial end at a time, or end and charge it now (None); ConflictError without a trial.

    If the charge fails the trial goes on (PaymentFailedError). ConflictError also for one that is
    paused, and for a time that is earlier than the end of the trial; NotFoundError, StripeError.
    """

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, mirror, request)
        if ends_at is not None and held.trial_end == ends_at.replace(microsecond=0):
            return None
        _require_trial(held, ends_at)
        end = "now" if ends_at is None else int(ends_at.timestamp())
        return {
            "trial_end": end,
            "proration_behavior": "none",
            "payment_behavior": "error_if_incomplete",
            REASON: reason,
        }

    asked = {"endsAt": ends_at, "reason": reason}
    return await make_change(mirror, request, "trial", asked, decide)


def _require_trial(held: Subscription, ends_at: datetime | None) -> None:
    if held.stripe_status != "trialing":
        raise ConflictError("This subscription is not in a trial.", code="not_in_trial")
    refuse_uncharged(held)
    if ends_at is None and held.will_end:
        raise ConflictError(
            "This trial is cancelled. Resume it before it is charged.", code="subscription_ending"
        )
    if ends_at is None or held.trial_end is None:
        return
    if not held.trial_end <= ends_at < held.trial_end + LONGEST:
        raise ConflictError(
            "A trial can be extended by up to two years, or ended now, but not shortened to another"
            " day.",
            code="trial_only_extended",
            fields={"endsAt": f"must not be before {held.trial_end:%Y-%m-%d %H:%M} UTC"},
        )
