"""End a subscription now, and give back the time that was paid for and is not used."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.ceilings import require_refundable
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, ConflictError, DatabaseUnavailableError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.types import MIRRORED_BY_NAME
from mpanel_billing.money import floor_to_step, format_money
from mpanel_billing.stripe_gateway.billed import list_billed
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.credit_notes import RequestedNote, issue_note
from mpanel_billing.subscriptions.given_back import list_given_back
from mpanel_billing.subscriptions.kept import unused_time
from mpanel_billing.subscriptions.lifecycle import (
    AT_ONCE,
    GIVEN_BACK,
    Changed,
    ChangeRequest,
    Feedback,
    billing_usage,
    cancellation_details,
    make_change,
    refresh,
    require_changeable,
)
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.promise import hash_state, preview_outdated
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.refunds import RequestedRefund, refund_invoice
from mpanel_billing.subscriptions.repository.changes import Change, SumGivenBack
from mpanel_billing.subscriptions.requested_changes import StripeRequest, find_known, is_same
from mpanel_billing.subscriptions.unpaid import find_unpaid, refuse_unpaid

UnusedTime = Literal["refund", "credit"]

HOLDS_FOR = timedelta(minutes=15)
"""So long the amounts of a preview hold, if they are asked for as of its time."""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What is given back of a term as of `at`, in minor units of `currency`.

    Both are by Stripe's invoice id: `refunds`, and `credits` to the customer's balance.
    """

    currency: str
    at: datetime
    refunds: Mapping[str, int]
    credits: Mapping[str, int]

    @property
    def refunded(self) -> int:
        """What goes back to where it was paid from."""
        return sum(self.refunds.values())

    @property
    def credited(self) -> int:
        """What goes to the customer's balance."""
        return sum(self.credits.values())


@dataclass(frozen=True, slots=True)
class Ending:
    """How a subscription is ended; `at` is the time of a preview, None: now.

    `refunded` and `credited` are what that preview has shown: exactly this is given back. None:
    what there is to give back.
    """

    unused: UnusedTime
    at: datetime | None = None
    reason: str | None = None
    feedback: Feedback | None = None
    refunded: int | None = None
    credited: int | None = None


async def preview_ending(mirror: Mirror, request: ChangeRequest, ending: Ending) -> GivenBack:
    """Return what `end_now` would give back; raises as it."""
    held = await _refreshed(mirror, request)
    return await _given_back(mirror, held, ending)


async def end_now(mirror: Mirror, request: ChangeRequest, ending: Ending) -> Changed:
    """End a subscription now, after what is unused has been given back.

    If that is refused, as for a disputed payment, nothing ends: the error says what went before,
    and a repeat gives back the rest. ConflictError for one that has ended, is paused, owes
    something of the running term, or for a preview that no longer holds; RefundCeilingError if the
    key may not give all of it back; NotFoundError, StripeError.
    """
    wanted = _wanted(request, ending)
    found: list[tuple[str, GivenBack]] = []

    async def prepare() -> None:
        held = await _refreshed(mirror, request)
        given = await _given_back(mirror, held, ending)
        _require_promised(given, await _given_before(mirror, wanted), ending)
        found.append((hash_state(held), given))

    async def decide(conn: Connection) -> Mapping[str, Any]:
        held = await require_changeable(conn, mirror, request)
        if not found or found[-1][0] != hash_state(held):
            raise preview_outdated()
        given = found[-1][1]
        await require_refundable(conn, request.by, given.refunded + given.credited, given.currency)
        # pairs: jsonb does not keep the order of keys, and the newest invoice goes first
        back = {"refunds": [*given.refunds.items()], "credits": [*given.credits.items()]}
        details = cancellation_details(ending.reason, ending.feedback)
        return {AT_ONCE: True, GIVEN_BACK: back, **billing_usage(held), **details}

    async def give(change: Change) -> None:
        await _give(mirror, request.by, change)

    try:
        return await make_change(
            mirror, request, "cancel", wanted.request, decide, prepare=prepare, before=give
        )
    except DatabaseUnavailableError:
        raise
    except BillingError as error:
        await _say_given(mirror, wanted, error)
        raise


def _wanted(request: ChangeRequest, ending: Ending) -> StripeRequest:
    asked = {"unused": ending.unused, "reason": ending.reason, "feedback": ending.feedback}
    return StripeRequest("cancel", request.subscription_id, asked, request.key)


def _require_promised(given: GivenBack, before: SumGivenBack, ending: Ending) -> None:
    """Refuse what a preview has not shown.

    It was asked before or after earlier attempts of the same request, which may have given a part.
    """
    whole = SumGivenBack(before.refunded + given.refunded, before.credited + given.credited)
    for shown in (given, whole):
        if ending.refunded in {None, shown.refunded} and ending.credited in {None, shown.credited}:
            return
    raise preview_outdated()


async def _given_before(mirror: Mirror, wanted: StripeRequest) -> SumGivenBack:
    """Return what earlier attempts of the same request have given back."""
    async with acquired(mirror.pool) as conn:
        known = await find_known(conn, wanted)
        if known is None or not is_same(known, wanted):
            return SumGivenBack(0, 0)
        return await repository.changes.sum_given_back(conn, known.id, wanted.subject_id)


async def _say_given(mirror: Mirror, wanted: StripeRequest, error: BillingError) -> None:
    """Add to an error what was given back nevertheless, and that the rest still can be."""
    given = await _given_before(mirror, wanted)
    if not any(given):
        return
    held = await get_subscription(mirror, wanted.subject_id, CustomerRef())
    refunded = format_money(given.refunded, held.currency)
    credited = format_money(given.credited, held.currency)
    error.add(
        f"Before that, {refunded} were refunded and {credited} credited. Ending it again goes on"
        " with the rest: nothing is given back twice."
    )


async def _refreshed(mirror: Mirror, request: ChangeRequest) -> Subscription:
    """Return the subscription as it is now; ConflictError if it cannot be ended this way.

    A pause has credited the rest of the term to the next invoice: given back, it would go twice.
    """
    await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        held = await require_changeable(conn, mirror, request)
    if held.stripe_status == "paused":
        raise ConflictError(
            "This subscription is paused: the rest of its term was settled then. Cancel it without"
            " giving time back, or resume it first.",
            code="subscription_paused",
        )
    return held


async def _given_back(mirror: Mirror, held: Subscription, ending: Ending) -> GivenBack:
    """Compute what is given back; what a card did not pay is credited in any case."""
    stripe_id = held.stripe_id or ""
    fetched = await mirror.stripe.fetch(MIRRORED_BY_NAME["subscription"].resource, stripe_id)
    at = ending.at or fetched.as_of
    if not fetched.as_of - HOLDS_FOR <= at <= fetched.as_of:
        raise preview_outdated()
    billed = await list_billed(mirror.stripe, stripe_id)
    unpaid = await find_unpaid(mirror, held, billed)
    if unpaid:
        refuse_unpaid(unpaid)
    returned = await list_given_back(mirror, billed, at)
    amount = floor_to_step(unused_time(billed, returned, at), held.currency)
    running = [one for one in billed if one.id in returned]
    refunds: dict[str, int] = {}
    if ending.unused == "refund":
        paid = {one.id: one.amount_paid if one.payment_intents else 0 for one in running}
        refunds = _shares(amount, {id_: paid[id_] - returned[id_] for id_ in paid})
    kept = {
        one.id: one.total - one.reduced - returned[one.id] - refunds.get(one.id, 0)
        for one in running
        if one.status == "paid"
    }
    return GivenBack(held.currency, at, refunds, _shares(amount - sum(refunds.values()), kept))


def _shares(amount: int, most: Mapping[str, int]) -> dict[str, int]:
    """Take the amount from invoices, at most so much of each, the first as much as possible."""
    shares: dict[str, int] = {}
    for invoice_id, left in most.items():
        share = min(amount - sum(shares.values()), left)
        if share > 0:
            shares[invoice_id] = share
    return shares


async def _give(mirror: Mirror, by: Actor, change: Change) -> None:
    """Give back what the change says; done again, it has no further effect.

    Credits are credit notes: they count in what is left of their invoices, so a refund later, or
    another attempt to end the subscription, does not give the same money again.
    """
    given = change.params[GIVEN_BACK]
    ids = await _invoice_ids(mirror, [id_ for id_, _ in (*given["refunds"], *given["credits"])])
    for stripe_invoice_id, amount in given["refunds"]:
        key = f"{change.id}-{change.attempt}-{stripe_invoice_id}"
        await refund_invoice(
            mirror,
            RequestedRefund(
                by, ids[stripe_invoice_id], CustomerRef(), amount, "requested_by_customer", key=key
            ),
        )
    for stripe_invoice_id, amount in given["credits"]:
        note = RequestedNote(
            by,
            ids[stripe_invoice_id],
            CustomerRef(),
            amount,
            to="balance",
            reason="order_change",
            memo="Unused time of a subscription that was ended",
            key=f"{change.id}-{change.attempt}-{stripe_invoice_id}-credit",
        )
        await issue_note(mirror, note)


async def _invoice_ids(mirror: Mirror, stripe_ids: list[str]) -> Mapping[str, UUID]:
    async with acquired(mirror.pool) as conn:
        found = await repository.invoices.list_ids_of_invoices(conn, stripe_ids)
    if not found.keys() >= set(stripe_ids):
        raise ConflictError(
            "Stripe has just billed this subscription. Please try again in a moment.",
            code="change_in_progress",
            retry_after=1,
        )
    return found
