"""Subscriptions whose rows mPanel deleted while Stripe knows them: brought back, or ended there."""

from collections.abc import Mapping
from typing import Any

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.reconciliation import deleted

pages = Pages()

_ONE = "/console/deleted/{id}"
REFUNDS: Mapping[str, bool] = {"none": False, "latest": True}
"""Whether the latest paid invoice goes back."""

restoring = pages.action("restore_deleted", f"{_ONE}/restore", scope="admin:operate")


@restoring.show
async def show_restore(visit: Visit, given: Given) -> Page:
    """Show what comes back."""
    return Page("restore_deleted.html", {"deleted": await _waiting(visit, given, "restored")})


@restoring.do
async def do_restore(visit: Visit, given: Given) -> Done:
    """Bring the subscription back under its own id; the same form once."""
    row = await _waiting(visit, given, "restored", or_done=True)
    name = str(row["subscription_id"])
    await deleted.restore(visit.app[keys.MIRROR], name, visit.actor)
    return Done(f"/console/subscriptions/{name}", "deleted_restored")


cancelling = pages.action("cancel_deleted", f"{_ONE}/cancel", scope="admin:money")


@cancelling.show
async def show_cancel(visit: Visit, given: Given) -> Page:
    """Show what ends at Stripe, and what can go back."""
    row = await _waiting(visit, given, "cancelled")
    refundable = await _refundable(visit, row)
    retention_days = visit.app[keys.SETTINGS].retention_days
    values = {"deleted": row, "refund": given.text("refund"), "retention_days": retention_days}
    values |= {"refundable": refundable, "amount": refundable.amount if refundable else ""}
    return Page("cancel_deleted.html", values)


@cancelling.do
async def do_cancel(visit: Visit, given: Given) -> Done:
    """End it at Stripe, with or without a refund; the same form once."""
    refund = REFUNDS.get(given.text("refund"))
    if refund is None:
        raise InvalidRequestError(say("refusal.no_refund_choice"))
    row = await _waiting(visit, given, "cancelled", or_done=True)
    if refund and row["settled_how"] is None:
        refundable = await _refundable(visit, row)
        if refundable is None or given.text("amount") != str(refundable.amount):
            raise ConflictError(say("refusal.owed_changed"))
    name = str(row["subscription_id"])
    await deleted.cancel(visit.app[keys.MIRROR], name, visit.actor, refund=refund)
    return Done(f"/console/subscriptions/{name}", "deleted_cancelled")


async def _waiting(
    visit: Visit, given: Given, how: deleted.SettledHow, *, or_done: bool = False
) -> Mapping[str, Any]:
    """Return what waits for a decision; `or_done`: or was decided in the same way before."""
    try:
        row = await deleted.get_waiting(visit.app[keys.POOL], given.path["id"])
    except NotFoundError as error:
        raise NotFoundError(say("refusal.not_deleted")) from error
    if row["settled_how"] is not None and not (or_done and row["settled_how"] == how):
        raise ConflictError(say("refusal.decided_already"))
    return dict(row)


async def _refundable(visit: Visit, row: Mapping[str, Any]) -> deleted.Refundable | None:
    """Return what can go back; nothing was paid before Stripe knew it."""
    stripe_id = row["stripe_subscription_id"]
    return await deleted.find_refundable(visit.app[keys.MIRROR], stripe_id) if stripe_id else None
