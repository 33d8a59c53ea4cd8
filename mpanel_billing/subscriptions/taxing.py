"""Have Stripe tax subscriptions that there are, or find out what that would do.

What was agreed without taxes is not made dearer unannounced: whose prices contain the taxes, or who
pays none, is taxed at once; others are told, and taxed once their notice is over. Why:
docs/decisions/0061-taxes-of-who-is-there.md.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, NotFoundError, StripeError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.invoices import UNKNOWN_PLACE
from mpanel_billing.stripe_gateway.taxing import (
    UNSAID,
    NextInvoice,
    TaxTerms,
    get_tax_terms,
    preview_next,
)
from mpanel_billing.subscriptions.lifecycle import ChangeRequest, make_change, require_changeable
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.repository import tax_notices as repository
from mpanel_billing.subscriptions.repository.tax_notices import Candidate, Chosen
from mpanel_billing.subscriptions.schedules import releasing

PAGE = 8
"""So many subscriptions are read, and asked about, at the same time."""

TAXED = "taxed already"
"""Why a subscription is left alone of which nothing is left to do."""

_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Enabling:
    """What a run may do: `by` None, nothing. `notice_days` None: nobody is told."""

    chosen: Chosen
    by: Actor | None
    notice_days: int | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What the next invoice comes to without and with the taxes.

    `adds`: taxes are added to prices, on this invoice or a later one.
    """

    before: NextInvoice
    after: NextInvoice
    adds: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about a subscription, or would be; `why` it was left alone.

    `effect` None: it was not found out. `not_before`: its customer was told that it is not taxed
    before.
    """

    stripe_subscription_id: str
    email: str | None
    done: Literal["enabled", "told", "left"]
    why: str | None = None
    effect: Effect | None = None
    not_before: datetime | None = None


class _LeftAloneError(Exception):
    """Why a subscription stays as it is, in words."""


async def enable_taxes(mirror: Mirror, wanted: Enabling, show: Callable[[Outcome], None]) -> None:
    """Have Stripe tax what is chosen, in pages; `show` gets each that is done with.

    Safe to repeat, also after a crash: it goes on with those that are not taxed, and tells nobody
    twice. NotFoundError for a product that there is not. StripeError if Stripe cannot be asked;
    what it refuses of one subscription leaves that alone.
    """
    await _require_product(mirror, wanted.chosen)
    after: UUID | None = _FIRST
    while after is not None:
        after = await _handle_page(mirror, wanted, after, show)


async def _handle_page(
    mirror: Mirror, wanted: Enabling, after: UUID, show: Callable[[Outcome], None]
) -> UUID | None:
    """Handle a page; return the last of it, None if there was none."""
    async with acquired(mirror.pool) as conn:
        page = await repository.list_candidates(conn, wanted.chosen, after, PAGE)
    handled = (_handle(mirror, wanted, one) for one in page)
    ended = await asyncio.gather(*handled, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome
        show(outcome)
    return page[-1].id if page else None


async def withdraw_notices(mirror: Mirror, chosen: Chosen, by: Actor) -> int:
    """Take back the notices of what is not taxed yet, and return how many; NotFoundError."""
    await _require_product(mirror, chosen)
    async with transaction(mirror.pool) as conn:
        withdrawn = await repository.withdraw(conn, chosen)
        details = {"subscriptions": [str(id_) for id_ in withdrawn]}
        await audit.record(conn, by, "taxes.withdraw", None, details)
    return len(withdrawn)


async def require_receiver(mirror: Mirror) -> None:
    """Raise ConflictError if no receiver gets the messages."""
    async with acquired(mirror.pool) as conn:
        if await repository.is_anyone_told(conn, livemode=mirror.livemode):
            return
    raise ConflictError(
        "No receiver gets tax.starting, so no customer would be told. Add one with"
        " `mpanel-billing receivers add`, or pass --untold if you tell them yourself."
    )


async def _require_product(mirror: Mirror, chosen: Chosen) -> None:
    if chosen.product is None:
        return
    async with acquired(mirror.pool) as conn:
        if not await repository.is_sold(conn, chosen.product):
            raise NotFoundError(f"There is no product {chosen.product!r}; see `catalog show`.")


async def _handle(mirror: Mirror, wanted: Enabling, one: Candidate) -> Outcome:
    """Do what can be done about a subscription, and say what."""
    outcome = Outcome(one.stripe_subscription_id, one.email, "left", not_before=one.not_before)
    try:
        outcome = replace(outcome, effect=await _find_effect(mirror, wanted, one))
        return await _do(mirror, wanted, one, outcome)
    except _LeftAloneError as error:
        return replace(outcome, why=str(error))
    except ConflictError as error:
        return replace(outcome, why=error.message)
    except StripeError as error:
        if not error.definite:
            raise
        return replace(outcome, why=error.message)


async def _do(mirror: Mirror, wanted: Enabling, one: Candidate, outcome: Outcome) -> Outcome:
    """Tax a subscription, or tell its customer first."""
    not_before = one.not_before
    if outcome.effect and outcome.effect.adds:
        if not_before is None:
            not_before = await _tell(mirror, wanted, one, outcome.effect)
            outcome = replace(outcome, done="told", not_before=not_before)
        elif not_before > datetime.now(UTC):
            raise _LeftAloneError("told, and the notice is not over")
        if not_before is None or not_before > datetime.now(UTC):
            return outcome
    if wanted.by:
        needs_notice = outcome.effect is not None and outcome.effect.adds
        await _enable(mirror, wanted.by, one.id, needs_notice=needs_notice)
    return replace(outcome, done="enabled")


async def _find_effect(mirror: Mirror, wanted: Enabling, one: Candidate) -> Effect:
    """Return what taxes change of the next invoice; _LeftAloneError, StripeError."""
    stripe_id = one.stripe_subscription_id
    terms = await get_tax_terms(mirror.stripe, stripe_id)
    if terms.automatic:
        await _settle(mirror, wanted, one)
        raise _LeftAloneError(TAXED)
    if why := one.why or _why_not(terms):
        raise _LeftAloneError(why)
    before = await preview_next(mirror.stripe, stripe_id, taxed=False)
    after = await _taxed(mirror, stripe_id)
    if before is None or after is None:
        raise _LeftAloneError("set to end")
    can_add = "exclusive" in terms.behaviors and not after.is_untaxed
    return Effect(before, after, adds=can_add or after.total > before.total)


def _why_not(terms: TaxTerms) -> str | None:
    if terms.by_rates:
        return "with tax rates that were set by hand"
    if UNSAID in terms.behaviors:
        return "at a price of which nobody has said whether it contains the taxes"
    return None


async def _taxed(mirror: Mirror, stripe_id: str) -> NextInvoice | None:
    try:
        return await preview_next(mirror.stripe, stripe_id, taxed=True)
    except StripeError as error:
        if error.stripe_code != UNKNOWN_PLACE:
            raise
        raise _LeftAloneError("without an address that says where it is taxed") from error


async def _tell(
    mirror: Mirror, wanted: Enabling, one: Candidate, effect: Effect
) -> datetime | None:
    """Tell the customer; return when their notice is over, None in a preview."""
    if wanted.notice_days is None:
        raise _LeftAloneError("it would cost more, and its customer was not told")
    if wanted.by is None:
        return None
    before, after = effect.before, effect.after
    async with transaction(mirror.pool) as conn:
        not_before = await repository.tell(
            conn,
            one.id,
            after.currency,
            total_before=before.total,
            total=after.total,
            tax=after.tax,
            notice_days=wanted.notice_days,
            told_by=wanted.by.name,
        )
        if not_before is None:  # another run did, meanwhile
            raise _LeftAloneError("told, and the notice is not over")
        details = {"totalBefore": before.total, "total": after.total, "tax": after.tax}
        told = {**details, "currency": after.currency, "notBefore": not_before.isoformat()}
        target = audit.Target("subscription", str(one.id))
        await audit.record(conn, wanted.by, "subscription.tell_tax", target, told)
    return not_before


async def _settle(mirror: Mirror, wanted: Enabling, one: Candidate) -> None:
    """Close what an earlier run began: Stripe taxes the subscription."""
    if wanted.by is None:
        return
    if one.is_begun:
        await _enable(mirror, wanted.by, one.id, is_taxed=True)
    elif one.not_before:
        await _note_enabled(mirror, one.id)


async def _enable(
    mirror: Mirror,
    by: Actor,
    subscription_id: UUID,
    *,
    is_taxed: bool = False,
    needs_notice: bool = False,
) -> None:
    """Have Stripe tax a subscription; ConflictError if it cannot be changed now, StripeError."""
    request = ChangeRequest(by, subscription_id, CustomerRef())

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, mirror, request)
        if is_taxed:
            return None
        if held.to_come or held.will_end or held.pending_update:
            raise ConflictError("It was changed just now. Please try again.")
        if needs_notice and not await repository.is_notice_over(conn, held.id):
            raise ConflictError("Its notice was withdrawn just now.")
        return {"automatic_tax": {"enabled": True}, **releasing(held)}

    await make_change(mirror, request, "enable_tax", {}, decide)
    await _note_enabled(mirror, subscription_id)


async def _note_enabled(mirror: Mirror, subscription_id: UUID) -> None:
    async with acquired(mirror.pool) as conn:
        await repository.note_enabled(conn, subscription_id)
