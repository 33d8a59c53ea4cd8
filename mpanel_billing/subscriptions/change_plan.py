"""Preview and change a subscription's plan, term or add-ons.

Immediately before a change it is previewed again. With the token of an earlier preview the result
must be what was shown; without one, the change is made at the present prices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, replace
from datetime import datetime
from typing import Any

from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.stripe_gateway.billed import BilledInvoice, list_billed
from mpanel_billing.stripe_gateway.subscriptions import find_pending_update
from mpanel_billing.subscriptions.fitting import refuse_unfit
from mpanel_billing.subscriptions.given_back import find_correction
from mpanel_billing.subscriptions.item_changes import PlanChange, PlanRequest
from mpanel_billing.subscriptions.lifecycle import (
    Changed,
    ChangeRequest,
    make_change,
    refresh,
)
from mpanel_billing.subscriptions.permitted_change import load_permitted_change
from mpanel_billing.subscriptions.planning import StripeItems, list_items, planned_params
from mpanel_billing.subscriptions.preview import (
    ChangePreview,
    ask_stripe,
    change_details,
)
from mpanel_billing.subscriptions.promise import (
    LIFETIME,
    Promise,
    hash_state,
    hash_sums,
    preview_outdated,
)
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.repository.price_changes import lock_coming
from mpanel_billing.subscriptions.requested_changes import NEVER
from mpanel_billing.subscriptions.schedules import releasing
from mpanel_billing.subscriptions.timing import end_of_term
from mpanel_billing.subscriptions.unpaid import Unpaid, find_unpaid, pay, refuse_unpaid


@dataclass(frozen=True, slots=True)
class PlanChangePreview:
    """What a change would cost, its promise, and what has to be paid before (None: nothing).

    `product_types` are those of the services afterwards; None: the catalogue does not say.
    """

    preview: ChangePreview
    promise: Promise
    unpaid: Unpaid | None
    product_types: frozenset[str] | None


async def preview_plan_change(
    mirror: Mirror, drivers: Drivers, request: ChangeRequest, plan: PlanRequest
) -> PlanChangePreview:
    """Ask Stripe what the change would cost, and promise it; raises as `change_plan`.

    Nothing is charged, so there is no PaymentFailedError, nor a refusal of what is unpaid.
    """
    await refresh(mirror, request)
    found = await _look(mirror, request, plan)
    await refuse_unfit(mirror.pool, drivers, found.held, found.change)
    preview = await _preview(mirror, found)
    state, sums = hash_state(found.held), hash_sums(found.change, preview)
    pinned = replace(plan, when="period_end" if found.change.waits else "now")
    promise = Promise(found.held.id, pinned, preview.at, state, sums)
    unpaid = await find_unpaid(mirror, found.held, found.billed)
    types = found.change.resources
    return PlanChangePreview(preview, promise, unpaid, None if types is None else frozenset(types))


@dataclass(frozen=True, slots=True)
class _Found:
    """The subscription, the change that is wanted, and the invoices that matter to it."""

    held: Subscription
    plan: PlanRequest
    change: PlanChange
    billed: Sequence[BilledInvoice]


@dataclass(slots=True)
class _Prepared:
    """What was previewed immediately before the change."""

    state: str
    change: PlanChange
    preview: ChangePreview
    items: StripeItems


async def change_plan(
    mirror: Mirror,
    drivers: Drivers,
    request: ChangeRequest,
    plan: PlanRequest,
    promise: Promise | None = None,
    *,
    pay_first: bool = False,
    confirmable: bool = False,
) -> Changed:
    """Change a subscription's plan, term or add-ons; with a promise, `plan` is the promise's.

    `pay_first`: what is unpaid of the running term is charged before. If a payment is due and
    fails, nothing changes (PaymentFailedError); if `confirmable`, the change then waits for the
    customer to pay it, and the old plan runs on. Also raises what `plan_change` raises,
    ConflictError for a subscription that has ended or is unpaid, for a promise that cannot be
    kept, and if the services say that it does not fit; NotFoundError, StripeError.
    """
    change = _ChangeInProgress(
        mirror, drivers, request, plan, promise, pay_first=pay_first, confirmable=confirmable
    )
    done = await make_change(
        mirror,
        request,
        "change_plan",
        _asked(plan, promise, confirmable=confirmable),
        change.decide,
        prepare=change.prepare,
        # the same token again gets the change that was made with it
        repeatable_for=LIFETIME if promise else NEVER,
    )
    return await _with_confirmation(mirror, plan, done) if confirmable else done


@dataclass(slots=True)
class _ChangeInProgress:
    """A change of `make_change`: previewed at Stripe first, then decided under the lock."""

    mirror: Mirror
    drivers: Drivers
    request: ChangeRequest
    plan: PlanRequest
    promise: Promise | None
    _: KW_ONLY
    pay_first: bool
    confirmable: bool
    prepared: _Prepared | None = None

    async def prepare(self) -> None:
        """Preview the change; `preview_outdated` unless that is what was promised.

        What is unpaid is paid only for a change that could be made, which is then previewed again.
        """
        found = await _look(self.mirror, self.request, self.plan)
        await refuse_unfit(self.mirror.pool, self.drivers, found.held, found.change)
        preview = await self._preview(found)
        unpaid = await find_unpaid(self.mirror, found.held, found.billed)
        if unpaid and not found.change.waits:
            refuse_unpaid(unpaid, pay_first=self.pay_first)
            await pay(self.mirror, self.request.by, found.held, unpaid)
            self.pay_first = False
            await self.prepare()
            return
        items = await _items(self.mirror, found)
        self.prepared = _Prepared(hash_state(found.held), found.change, preview, items)

    async def _preview(self, found: _Found) -> ChangePreview:
        if self.promise:
            return await _keep(self.mirror, found, self.promise)
        return await _preview(self.mirror, found)

    async def decide(self, conn: Connection) -> Mapping[str, Any] | None:
        """Return the params of the change; None if everything is as requested already."""
        await lock_coming(conn, self.request.subscription_id)
        held, change = await load_permitted_change(conn, self.mirror, self.request, self.plan)
        if not change.items:
            return None
        prepared = _require_same(self.prepared, held, change)
        behavior = "pending_if_incomplete" if self.confirmable else "error_if_incomplete"
        return _params(prepared, held, self.plan, behavior)


async def _with_confirmation(mirror: Mirror, plan: PlanRequest, done: Changed) -> Changed:
    """Add where the customer confirms the payment that the change waits for, if it does.

    A repeat may come after Stripe has dropped the change: then nothing has changed.
    """
    pending = await find_pending_update(mirror.stripe, done.subscription.stripe_id or "")
    if pending is None:
        return replace(done, changed=done.changed and _is_made(done.subscription, plan))
    return replace(done, changed=False, confirmation=pending)


def _is_made(held: Subscription, plan: PlanRequest) -> bool:
    """Return whether the items are those asked for, or will be at the end of the term."""
    if held.to_come:
        return True
    had = {item.code: item.quantity for item in held.items}
    plans = [(one.code, one.billing_cycle) for one in held.items if one.kind == "plan"]
    addons = {one.code for one in held.addons}
    return (
        plans == [(plan.plan_code, plan.billing_cycle)]
        and (plan.addon_codes is None or addons == {*plan.addon_codes})
        and all(had.get(code) == quantity for code, quantity in plan.quantities)
    )


def _asked(
    plan: PlanRequest, promise: Promise | None, *, confirmable: bool
) -> Mapping[str, object]:
    codes = plan.addon_codes
    asked = asdict(plan) | {"addon_codes": None if codes is None else sorted(codes)}
    # what is left out is the same request as before there was such a thing
    asked["quantities"] = sorted(plan.quantities)
    if not plan.quantities:
        del asked["quantities"]
    if confirmable:
        asked["confirmable"] = True
    return asked | {"promise": [promise.at, promise.state, promise.sums] if promise else None}


async def _look(mirror: Mirror, request: ChangeRequest, plan: PlanRequest) -> _Found:
    async with acquired(mirror.pool) as conn:
        held, change = await load_permitted_change(conn, mirror, request, plan)
    billed = await list_billed(mirror.stripe, held.stripe_id or "") if change.items else []
    return _Found(held, plan, change, billed)


async def _keep(mirror: Mirror, found: _Found, promise: Promise) -> ChangePreview:
    """Preview the change as it was promised."""
    if promise.expired or promise.state != hash_state(found.held):
        raise preview_outdated()
    preview = await _preview(mirror, found, promise.at)
    if promise.sums != hash_sums(found.change, preview):
        raise preview_outdated()
    return preview


async def _preview(mirror: Mirror, found: _Found, at: datetime | None = None) -> ChangePreview:
    """Ask Stripe, and once more with a correction if it credits what was not paid and kept."""
    wanted = (mirror, found.held, found.change, found.plan.proration)
    preview = await ask_stripe(*wanted, at=at)
    correction = await find_correction(mirror, preview, found.billed)
    if correction is None:
        return preview
    return await ask_stripe(*wanted, at=preview.at, correction=correction)


def _require_same(prepared: _Prepared | None, held: Subscription, change: PlanChange) -> _Prepared:
    """Return what was prepared; ConflictError if the subscription has changed since."""
    if prepared and (prepared.state, prepared.change) == (hash_state(held), change):
        return prepared
    raise ConflictError(
        "The subscription has just been changed. Please try again in a moment.",
        code="change_in_progress",
        retry_after=1,
    )


async def _items(mirror: Mirror, found: _Found) -> StripeItems:
    """Return the items that a later change is made of; none for one that is made now."""
    return await list_items(mirror, found.held) if found.change.waits else {}


def _params(
    prepared: _Prepared, held: Subscription, plan: PlanRequest, behavior: str
) -> dict[str, Any]:
    change, preview = prepared.change, prepared.preview
    if not change.waits:
        updated = _update_params(change, plan, preview)
        return {**updated, "payment_behavior": behavior, **releasing(held)}
    planned = planned_params(change, plan, prepared.items, preview, end_of_term(held))
    return {**planned, **releasing(held)}


def _update_params(change: PlanChange, plan: PlanRequest, preview: ChangePreview) -> dict[str, Any]:
    """Return the params of the update; Stripe applies all of it or nothing (decision 0011)."""
    params: dict[str, Any] = {
        **change_details(change, plan.proration, preview.at),
        "metadata": dict(change.metadata),
    }
    once: list[dict[str, Any]] = [{"price": price} for price in change.setup_prices]
    if preview.correction:
        once.append(preview.correction.charged())
    return params | ({"add_invoice_items": once} if once else {})
