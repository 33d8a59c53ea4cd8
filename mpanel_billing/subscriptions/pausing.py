"""Pause a subscription: Stripe's pause where it takes one, else its collection is paused.

A pause credits the rest of the term, and the services are suspended at once. While only the
collection is paused the terms go on, unpaid: what was paid for is served to its end, and then the
services are held until a term that is paid for begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.types import MIRRORED_BY_NAME
from mpanel_billing.money import format_money
from mpanel_billing.stripe_gateway.billed import list_billed
from mpanel_billing.stripe_gateway.one_off_charges import list_waiting
from mpanel_billing.stripe_gateway.subscriptions import PreviewLine, preview_change
from mpanel_billing.subscriptions.given_back import list_given_back
from mpanel_billing.subscriptions.kept import unused_price
from mpanel_billing.subscriptions.lifecycle import (
    COLLECTION,
    PAUSE,
    REASON,
    Changed,
    ChangeRequest,
    make_change,
    refresh,
    require_changeable,
    require_resumable,
    resume,
)
from mpanel_billing.subscriptions.price_changes import early_prices, take_back
from mpanel_billing.subscriptions.promise import hash_state, preview_outdated
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.schedules import releasing
from mpanel_billing.subscriptions.stripe_requests import prepared
from mpanel_billing.subscriptions.unpaid import find_unpaid, refuse_unpaid

LONGEST = timedelta(days=730)
"""How long a collection is paused at most."""

Way = Literal["subscription", "collection"]


@dataclass(frozen=True, slots=True)
class PausePreview:
    """What a pause does: services are there until `served_until` (None: they stop at once).

    `until` is when it ends by itself, None: when it is resumed. `credits`: the rest of the term is
    credited to the next invoice, now about `credited`, in minor units before taxes that are added.
    `promise` is what a pause has to be like to be what this shows.
    """

    way: Way
    served_until: datetime | None
    until: datetime | None
    credits: bool
    credited: int
    currency: str
    promise: str


async def preview_pause(
    mirror: Mirror, request: ChangeRequest, until: datetime | None
) -> PausePreview:
    """Return what `pause` would do; raises as it."""
    await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        held = await require_changeable(conn, mirror, request)
    _require_pausable(held)
    way = await _way(mirror, held)
    credited = await _credited_time(mirror, held, way)
    shown = PausePreview(
        way=way,
        served_until=None,
        until=None,
        credits=credited is not None,
        credited=credited or 0,
        currency=held.currency,
        promise=_promise(held, way, credits_time=credited is not None),
    )
    if way == "subscription":
        _refuse_end(until)
        return shown
    end = _require_end(held, until)
    return replace(shown, served_until=held.current_period_end, until=end)


def _promise(held: Subscription, way: Way, *, credits_time: bool) -> str:
    return f"{way}-{'credits' if credits_time else 'keeps'}-{hash_state(held)}"


async def pause(
    mirror: Mirror,
    request: ChangeRequest,
    *,
    until: datetime | None,
    reason: str | None,
    promise: str | None = None,
) -> Changed:
    """Pause a subscription; `until` is for a collection that is paused: needed there, else refused.

    ConflictError for one that has ended, owes something of the running term, waits for a planned
    change, needs another date or none, or is not as the `promise` of a preview says; NotFoundError,
    StripeError.
    """
    found: list[tuple[Way, bool]] = []

    async def prepare() -> None:
        found.append(await _look(mirror, request))

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, mirror, request)
        if _is_paused(held):
            return None
        _require_pausable(held)
        way, credits_time = prepared(found)
        if promise not in {None, _promise(held, way, credits_time=credits_time)}:
            raise preview_outdated()
        why = {REASON: reason} if reason else {}
        if way == "collection":
            return {**_pause_collection(held, until), **why}
        _refuse_end(until)
        early = await early_prices(conn, held)
        return {PAUSE: _pause_params(credits_time=credits_time), **early, **releasing(held), **why}

    asked = {"until": until, "reason": reason}
    before = partial(take_back, mirror)
    return await make_change(
        mirror, request, "pause", asked, decide, prepare=prepare, before=before
    )


async def _look(mirror: Mirror, request: ChangeRequest) -> tuple[Way, bool]:
    """Return how Stripe can pause a subscription, and whether that credits unused time."""
    await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        held = await require_changeable(conn, mirror, request)
    way = await _way(mirror, held)
    is_new = not _is_paused(held)
    return way, is_new and await _credited_time(mirror, held, way) is not None


@dataclass(frozen=True, slots=True)
class ResumePreview:
    """What a resumption charges now, in minor units of `currency`, and the lines of that invoice.

    `due_now` is the `total` after the customer's `balance`; `tax` is part of the total. Then it
    renews at `renews_at`.
    """

    currency: str
    renews_at: datetime | None = None
    due_now: int = 0
    total: int = 0
    tax: int = 0
    balance: int = 0
    lines: tuple[PreviewLine, ...] = ()


async def preview_resume(mirror: Mirror, request: ChangeRequest) -> ResumePreview:
    """Return what `resume` would charge; raises as it. Only what Stripe has paused is charged."""
    held = await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        await require_changeable(conn, mirror, request)
    if held.stripe_status != "paused":
        require_resumable(held)
        return ResumePreview(held.currency, held.current_period_end)
    invoice = await preview_change(mirror.stripe, held.stripe_id or "", {"resume_at": "now"})
    return ResumePreview(
        currency=invoice.currency,
        renews_at=max((one.period_end for one in invoice.lines if not one.proration), default=None),
        due_now=invoice.amount_due,
        total=invoice.total,
        tax=invoice.tax,
        balance=invoice.balance,
        lines=invoice.lines,
    )


async def resume_as_shown(mirror: Mirror, request: ChangeRequest, due_now: int) -> Changed:
    """Resume as `resume` does, if it charges what a preview has shown; else ConflictError."""

    async def prepare() -> None:
        if (await preview_resume(mirror, request)).due_now != due_now:
            raise preview_outdated()

    return await resume(mirror, request, prepare=prepare)


def _pause_params(*, credits_time: bool) -> dict[str, Any]:
    return {
        "type": "subscription",
        "bill_for": {"unused_time_from": {"type": "now" if credits_time else "none"}},
        "invoicing_behavior": "pending_invoice_item",
    }


def _pause_collection(held: Subscription, until: datetime | None) -> dict[str, Any]:
    end = int(_require_end(held, until).timestamp())
    since = held.current_period_end
    return {
        "pause_collection": {"behavior": "void", "resumes_at": end},
        COLLECTION: {"since": int(since.timestamp()) if since else end, "until": end},
    }


def _is_paused(held: Subscription) -> bool:
    return held.stripe_status == "paused" or held.collection_paused


def _require_pausable(held: Subscription) -> None:
    if held.to_come:
        raise ConflictError(
            "A change is planned for the end of the term. Undo it before a pause.",
            code="change_planned",
        )
    if held.will_end:
        raise ConflictError(
            "This subscription is set to end. Resume it before a pause.", code="subscription_ending"
        )


async def _way(mirror: Mirror, held: Subscription) -> Way:
    """Ask Stripe for what decides it. Source: docs.stripe.com/billing/subscriptions/pause."""
    found = await mirror.refresh("subscription", held.stripe_id or "")
    takes_pause = (
        found["status"] in {"active", "past_due"}
        and (found.get("billing_mode") or {}).get("type") == "flexible"
        and found["collection_method"] == "charge_automatically"
    )
    return "subscription" if takes_pause else "collection"


async def _credited_time(mirror: Mirror, held: Subscription, way: Way) -> int | None:
    """Return what is credited of the rest of the term now, if all of it was paid, and kept.

    None: nothing. ConflictError if it is unpaid, or if a charge would be lost.
    """
    billed = await list_billed(mirror.stripe, held.stripe_id or "")
    unpaid = await find_unpaid(mirror, held, billed)
    if unpaid:
        refuse_unpaid(unpaid)
    if way == "collection":
        await _require_none_waiting(mirror, held)
        return None
    returned = await list_given_back(mirror, billed, held.current_period_start)
    if any(returned.values()):
        return None
    now = await mirror.stripe.fetch(MIRRORED_BY_NAME["subscription"].resource, held.stripe_id or "")
    return unused_price(billed, now.as_of)


def _refuse_end(until: datetime | None) -> None:
    """Refuse a date: what Stripe pauses does not come back by itself, so it would be forgotten."""
    if until is not None:
        raise ConflictError(
            "This subscription is paused until it is resumed, which charges a new term: leave out"
            " the date.",
            code="pause_takes_no_date",
            fields={"until": "must be left out"},
        )


async def _require_none_waiting(mirror: Mirror, held: Subscription) -> None:
    """Raise ConflictError if something waits for the next invoice, which is to be void.

    What is charged would be given away, and what is credited would be lost to the customer.
    """
    waiting = await list_waiting(mirror.stripe, held.stripe_customer_id or "", held.stripe_id or "")
    if waiting:
        named = ", ".join(
            f"{one.id} ({format_money(one.amount, one.currency)}, {one.description})"
            for one in waiting
        )
        raise ConflictError(
            f"The next invoice would be void, and with it {named}. Pause after an invoice has"
            " billed what waits; or withdraw a one-off charge, and bill it by an invoice of its"
            " own.",
            code="charges_waiting",
        )


def _require_end(held: Subscription, until: datetime | None) -> datetime:
    """Return the end of a paused collection, which has to be after the term that is paid for."""
    earliest = held.current_period_end
    if until is not None and earliest and earliest < until < earliest + LONGEST:
        return until
    after = f" after {earliest:%Y-%m-%d %H:%M} UTC, within two years" if earliest else ""
    raise ConflictError(
        f"This subscription can only be paused to a date{after}: its terms go on meanwhile.",
        code="pause_needs_date",
        fields={"until": f"must be a time{after}"},
    )
