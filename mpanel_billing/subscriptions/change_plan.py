"""Preview and change a subscription's plan, term or add-ons.

Immediately before a change it is previewed again. With the token of an earlier preview the result
must be what was shown; without one, the change is made at the present prices.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions.lifecycle import (
    Changed,
    ChangeRequest,
    make_change,
    refresh,
    require_changeable,
)
from mpanel_billing.subscriptions.plan_change import PlanChange, PlanRequest, plan_change
from mpanel_billing.subscriptions.preview import ChangePreview, ask_stripe, change_details
from mpanel_billing.subscriptions.promise import (
    LIFETIME,
    Promise,
    hash_state,
    hash_sums,
    preview_outdated,
)
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.stripe_requests import NEVER


async def preview_plan_change(
    mirror: Mirror, request: ChangeRequest, plan: PlanRequest
) -> tuple[ChangePreview, Promise]:
    """Ask Stripe what the change would cost, and promise it; raises as `change_plan`.

    PaymentFailedError is not raised: nothing is charged.
    """
    await refresh(mirror, request)
    held, change = await _load(mirror, request, plan)
    preview = await ask_stripe(mirror, held, change, plan.proration)
    promise = Promise(held.id, plan, preview.at, hash_state(held), hash_sums(change, preview))
    return preview, promise


@dataclass(slots=True)
class _Prepared:
    """What was previewed immediately before the change."""

    state: str
    change: PlanChange
    preview: ChangePreview


async def change_plan(
    mirror: Mirror, request: ChangeRequest, plan: PlanRequest, promise: Promise | None = None
) -> Changed:
    """Change a subscription's plan, term or add-ons; with a promise, `plan` is the promise's.

    If a payment is due and fails, nothing changes (PaymentFailedError). Also raises what
    `plan_change` raises, ConflictError for a subscription that has ended or is unpaid and for a
    promise that cannot be kept, NotFoundError, StripeError.
    """
    prepared: list[_Prepared] = []

    async def prepare() -> None:
        prepared.append(await _prepare(mirror, request, plan, promise))

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held, change = await _load_by(conn, mirror, request, plan)
        if not change.items:
            return None
        _require_same(prepared, held, change)
        return _update_params(change, plan, prepared[-1].preview)

    return await make_change(
        mirror,
        request,
        "change_plan",
        _asked(plan, promise),
        decide,
        prepare=prepare,
        # the same token again gets the change that was made with it
        repeatable_for=LIFETIME if promise else NEVER,
    )


def _asked(plan: PlanRequest, promise: Promise | None) -> Mapping[str, object]:
    codes = plan.addon_codes
    asked = asdict(plan) | {"addon_codes": None if codes is None else sorted(codes)}
    return asked | {"promise": [promise.at, promise.state, promise.sums] if promise else None}


async def _load(
    mirror: Mirror, request: ChangeRequest, plan: PlanRequest
) -> tuple[Subscription, PlanChange]:
    async with acquired(mirror.pool) as conn:
        return await _load_by(conn, mirror, request, plan)


async def _load_by(
    conn: Connection, mirror: Mirror, request: ChangeRequest, plan: PlanRequest
) -> tuple[Subscription, PlanChange]:
    held = await require_changeable(conn, mirror, request)
    catalogue = await load_catalogue(conn, livemode=mirror.livemode)
    return held, plan_change(held, plan, catalogue)


async def _prepare(
    mirror: Mirror, request: ChangeRequest, plan: PlanRequest, promise: Promise | None
) -> _Prepared:
    """Preview the change; `preview_outdated` unless that is what was promised."""
    held, change = await _load(mirror, request, plan)
    state = hash_state(held)
    if promise and (promise.expired or promise.state != state):
        raise preview_outdated()
    preview = await ask_stripe(
        mirror, held, change, plan.proration, promise.at if promise else None
    )
    if promise and promise.sums != hash_sums(change, preview):
        raise preview_outdated()
    return _Prepared(state, change, preview)


def _require_same(prepared: list[_Prepared], held: Subscription, change: PlanChange) -> None:
    """Refuse what has changed since the preview, of which the last moment is under the lock."""
    if prepared and (prepared[-1].state, prepared[-1].change) == (hash_state(held), change):
        return
    raise ConflictError(
        "The subscription has just been changed. Please try again in a moment.",
        code="change_in_progress",
        retry_after=1,
    )


def _update_params(change: PlanChange, plan: PlanRequest, preview: ChangePreview) -> dict[str, Any]:
    """Return the params of the update; Stripe applies all of it or nothing (decision 0011)."""
    params: dict[str, Any] = {
        **change_details(change, plan.proration, preview.at),
        "metadata": dict(change.metadata),
        "payment_behavior": "error_if_incomplete",
    }
    if change.setup_prices:
        params["add_invoice_items"] = [{"price": price} for price in change.setup_prices]
    return params
