"""End a subscription now, and give back the time that was paid for and is not used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.types import MIRRORED_BY_NAME
from mpanel_billing.stripe_gateway.billed import BilledInvoice, list_billed
from mpanel_billing.stripe_gateway.customers import add_to_balance
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.given_back import list_given_back
from mpanel_billing.subscriptions.kept import unused_time
from mpanel_billing.subscriptions.lifecycle import (
    AT_ONCE,
    GIVEN_BACK,
    Changed,
    ChangeRequest,
    Feedback,
    cancellation_details,
    make_change,
    refresh,
    require_changeable,
)
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.promise import hash_state, preview_outdated
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.refunds import RequestedRefund, refund_invoice
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.unpaid import find_unpaid, refuse_unpaid

UnusedTime = Literal["refund", "credit"]

HOLDS_FOR = timedelta(minutes=15)
"""So long the amounts of a preview hold, if they are asked for as of its time."""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What is given back of a term as of `at`, in minor units of `currency`.

    `refunds` are by Stripe's invoice id; `credited` goes to the customer's balance.
    """

    currency: str
    at: datetime
    refunds: Mapping[str, int]
    credited: int

    @property
    def refunded(self) -> int:
        """What goes back to where it was paid from."""
        return sum(self.refunds.values())


@dataclass(frozen=True, slots=True)
class Ending:
    """How a subscription is ended; `at` is the time of a preview, None: now."""

    unused: UnusedTime
    at: datetime | None = None
    reason: str | None = None
    feedback: Feedback | None = None


async def preview_ending(mirror: Mirror, request: ChangeRequest, ending: Ending) -> GivenBack:
    """Return what `end_now` would give back; raises as it."""
    held = await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        await require_changeable(conn, mirror, request)
    return await _given_back(mirror, held, ending)


async def end_now(mirror: Mirror, request: ChangeRequest, ending: Ending) -> Changed:
    """End a subscription now, after what is unused has been given back.

    If that is refused, as for a disputed payment, nothing ends. ConflictError for one that has
    ended, owes something of the running term, or for a preview that no longer holds;
    RefundCeilingError, NotFoundError, StripeError.
    """
    found: list[tuple[str, GivenBack]] = []

    async def prepare() -> None:
        held = await refresh(mirror, request)
        if not held.is_over:
            found.append((hash_state(held), await _given_back(mirror, held, ending)))

    async def decide(conn: Connection) -> Mapping[str, Any]:
        held = await require_changeable(conn, mirror, request)
        if not found or found[-1][0] != hash_state(held):
            raise preview_outdated()
        given = _params(held, found[-1][1])
        details = cancellation_details(ending.reason, ending.feedback)
        return {AT_ONCE: True, GIVEN_BACK: given, **details}

    async def give(change: Change) -> None:
        await _give(mirror, request.by, change)

    asked = {"unused": ending.unused, "reason": ending.reason, "feedback": ending.feedback}
    return await make_change(mirror, request, "cancel", asked, decide, prepare=prepare, before=give)


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
        refuse_unpaid(unpaid, pay_first=False)
    returned = await list_given_back(mirror, billed, at)
    amount = unused_time(billed, returned, at)
    refunds = _refunds(billed, returned, amount) if ending.unused == "refund" else {}
    return GivenBack(held.currency, at, refunds, amount - sum(refunds.values()))


def _refunds(
    billed: Sequence[BilledInvoice], returned: Mapping[str, int], amount: int
) -> dict[str, int]:
    """Take the amount from the invoices of the running term, the newest first."""
    refunds: dict[str, int] = {}
    for invoice in billed:
        left = amount - sum(refunds.values())
        paid = invoice.amount_paid if invoice.payment_intents else 0
        share = min(left, paid - returned.get(invoice.id, 0))
        if invoice.id in returned and share > 0:
            refunds[invoice.id] = share
    return refunds


def _params(held: Subscription, given: GivenBack) -> dict[str, Any]:
    return {
        "refunds": dict(given.refunds),
        "credited": given.credited,
        "currency": given.currency,
        "customer": held.stripe_customer_id,
    }


async def _give(mirror: Mirror, by: Actor, change: Change) -> None:
    """Give back what the change says; done again, it has no further effect."""
    given = change.params[GIVEN_BACK]
    ids = await _invoice_ids(mirror, list(given["refunds"]))
    for stripe_invoice_id, amount in given["refunds"].items():
        key = f"{change.id}-{change.attempt}-{stripe_invoice_id}"
        await refund_invoice(
            mirror,
            RequestedRefund(
                by, ids[stripe_invoice_id], CustomerRef(), amount, "requested_by_customer", key=key
            ),
        )
    if given["credited"]:
        await add_to_balance(
            mirror.stripe,
            given["customer"],
            {
                "amount": -given["credited"],
                "currency": given["currency"],
                "description": "Unused time of a subscription that was ended",
                "metadata": {"changeId": str(change.id)},
            },
            f"credit-{change.id}-{change.attempt}",
        )


async def _invoice_ids(mirror: Mirror, stripe_ids: list[str]) -> Mapping[str, UUID]:
    async with acquired(mirror.pool) as conn:
        found = await repository.invoices.list_ids_of_invoices(conn, stripe_ids)
    if len(found) < len(stripe_ids):
        raise ConflictError(
            "Stripe has just billed this subscription. Please try again in a moment.",
            code="change_in_progress",
            retry_after=1,
        )
    return found
