"""Change what a subscription is, or when it ends: Stripe does it, our rows follow.

Before a change Stripe is asked how the subscription is now, and after it again; both answers go
the guarded way of every snapshot. So what is decided is decided on the truth, and the caller sees
the result at once, whenever the webhooks come.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mpanel_billing.access.actor import Actor
from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.database.pool import transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    StripeError,
    StripeObjectMissingError,
)
from mpanel_billing.mirror.mirror import request_refetch
from mpanel_billing.stripe_gateway.subscriptions import cancel_subscription, update_subscription
from mpanel_billing.subscriptions.customers import Named
from mpanel_billing.subscriptions.desk import ServiceDesk
from mpanel_billing.subscriptions.holdings import Subscription
from mpanel_billing.subscriptions.plan_change import PlannedChange, PlanWish, Proration, plan_change
from mpanel_billing.subscriptions.repository import Change, Kind
from mpanel_billing.subscriptions.stripe_requests import Ask, Plan, Wish, carry_out
from mpanel_billing.subscriptions.subscriptions import get_subscription, require_subscription

logger = logging.getLogger(__name__)

AT_ONCE = "at_once"
"""Marks the params of a cancellation that does not wait for the end of the period."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants something of which subscription; `key` is the client's own name for it."""

    by: Actor
    subscription_id: UUID
    named: Named
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A subscription after a request; `changed` is false where it was like that already."""

    subscription: Subscription
    changed: bool


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """How the difference to the old plan is charged.

    `at` is the moment from which on it counts: that of a preview, for the same sum to be charged;
    None is now.
    """

    proration: Proration = "always_invoice"
    at: datetime | None = None


async def change_plan(
    desk: ServiceDesk, request: Request, wish: PlanWish, terms: PlanTerms
) -> Changed:
    """Put a subscription on another plan, term or set of add-ons.

    Where that has to be paid and the payment fails, everything stays as it was
    (PaymentFailedError). Raises what `plan_change` raises, ConflictError for a subscription that
    has ended or is not paid, NotFoundError, StripeError.
    """

    async def plan(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, desk, request)
        catalogue = await load_catalogue(conn, livemode=desk.livemode)
        change = plan_change(held, wish, catalogue)
        _refuse_other_period(held, terms)
        return _update_params(change, terms) if change.items else None

    asked = {
        "planId": wish.plan_code,
        "billingCycle": wish.billing_cycle,
        "addonIds": None if wish.addon_codes is None else sorted(wish.addon_codes),
        "proration": terms.proration,
        "at": terms.at,
    }
    return await _change(desk, request, "change_plan", asked, plan)


def _refuse_other_period(held: Subscription, terms: PlanTerms) -> None:
    start, end = held.current_period_start, held.current_period_end
    if terms.at and start and end and not start <= terms.at <= end:
        raise InvalidRequestError(
            "The preview is of a term that is over. Please look at a new one.",
            code="preview_outdated",
            fields={"prorationDate": "must lie in the current period"},
        )


def _update_params(change: PlannedChange, terms: PlanTerms) -> dict[str, Any]:
    """Return what Stripe is told: all of it is done, or nothing (decision 0011)."""
    params: dict[str, Any] = {
        **change_details(change, terms.proration),
        "metadata": dict(change.metadata),
        "payment_behavior": "error_if_incomplete",
    }
    if change.setup_prices:
        params["add_invoice_items"] = [{"price": price} for price in change.setup_prices]
    if terms.at and terms.proration != "none":
        params["proration_date"] = int(terms.at.timestamp())
    return params


def change_details(change: PlannedChange, proration: Proration) -> dict[str, Any]:
    """Return what a change and its preview tell Stripe alike."""
    details: dict[str, Any] = {"items": list(change.items), "proration_behavior": proration}
    return details | ({"trial_end": "now"} if change.ends_trial else {})


async def cancel(
    desk: ServiceDesk, request: Request, *, at_period_end: bool, reason: str | None
) -> Changed:
    """End a subscription, with what is paid for or at once; nothing is given back by itself.

    ConflictError for one that has ended, or is not paid; NotFoundError, StripeError.
    """

    async def plan(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, desk, request)
        if at_period_end and held.cancel_at_period_end:
            return None
        details = {"cancellation_details": {"comment": reason}} if reason else {}
        if at_period_end:
            return {"cancel_at_period_end": True, **details}
        return {AT_ONCE: True, **details}

    asked = {"atPeriodEnd": at_period_end, "reason": reason}
    return await _change(desk, request, "cancel", asked, plan)


async def resume(desk: ServiceDesk, request: Request) -> Changed:
    """Let a subscription go on that was going to end; ConflictError for any other."""

    async def plan(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, desk, request)
        if not held.will_end:
            raise ConflictError(
                "This subscription is not going to end, so there is nothing to take back.",
                code="not_cancelled",
            )
        # the portal sets a day instead of the flag; Stripe takes only one of the two
        return {"cancel_at_period_end": False} if held.cancel_at_period_end else {"cancel_at": ""}

    return await _change(desk, request, "resume", {}, plan)


async def require_changeable(conn: Connection, desk: ServiceDesk, request: Request) -> Subscription:
    """Return the subscription if Stripe can change it; ConflictError, NotFoundError."""
    held = await require_subscription(conn, desk, request.subscription_id, request.named)
    if held.is_over:
        raise ConflictError("This subscription has ended.", code="subscription_ended")
    if held.stripe_id is None or held.stripe_status in {None, "incomplete"}:
        raise ConflictError("This order is not paid yet.", code="not_paid")
    return held


async def refresh(desk: ServiceDesk, request: Request) -> Subscription:
    """Return the subscription as Stripe has it now; NotFoundError, StripeError."""
    held = await get_subscription(desk, request.subscription_id, request.named)
    if held.stripe_id is None:
        return held
    await desk.mirror.refresh("subscription", held.stripe_id)
    return await get_subscription(desk, request.subscription_id, request.named)


async def _change(
    desk: ServiceDesk, request: Request, kind: Kind, asked: Mapping[str, object], plan: Plan
) -> Changed:
    held = await refresh(desk, request)
    wish = Wish(kind, request.subscription_id, asked, request.key)
    change = await carry_out(desk, request.by, wish, plan, _asking(desk, held))
    after = await get_subscription(desk, request.subscription_id, request.named)
    return Changed(after, changed=change is not None)


def _asking(desk: ServiceDesk, held: Subscription) -> Ask:
    """Return how Stripe is asked for a change of that subscription."""
    stripe_id = held.stripe_id or ""

    async def ask(change: Change) -> None:
        params = dict(change.params)
        if params.pop(AT_ONCE, False):
            with suppress(StripeObjectMissingError):  # ended already: an answer has been lost
                await cancel_subscription(desk.gateway, stripe_id, params)
        else:
            await update_subscription(desk.gateway, stripe_id, params, change.idempotency_key)
        await _show(desk, stripe_id)

    return ask


async def _show(desk: ServiceDesk, stripe_id: str) -> None:
    """Bring our rows up to what Stripe has just done.

    Stripe's answer to the change itself will not do: for a repeated key it is that of the first
    time. Should Stripe not answer now, the change is done all the same, and a job asks again.
    """
    try:
        await desk.mirror.refresh("subscription", stripe_id)
    except StripeError as error:
        logger.warning("changed, but not shown yet: %s", error, extra={"objectId": stripe_id})
        async with transaction(desk.pool) as conn:
            await request_refetch(conn, "subscription", stripe_id, "was changed by us")
