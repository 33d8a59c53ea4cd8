"""Which change of a plan may be made: not of what has ended, nor beyond a limit."""

from dataclasses import replace

from mpanel_billing.catalogue.model import Catalogue, Product
from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.checkout.limits import plan_limit_reached
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.item_changes import PlanChange, PlanRequest, plan_change
from mpanel_billing.subscriptions.lifecycle import (
    ChangeRequest,
    refuse_uncharged,
    require_changeable,
)
from mpanel_billing.subscriptions.records import Subscription


async def load_permitted_change(
    conn: Connection, mirror: Mirror, request: ChangeRequest, plan: PlanRequest
) -> tuple[Subscription, PlanChange]:
    """Return the subscription, and what has to change of it; without items if nothing does.

    ConflictError if it has ended or is paused, if another change is planned, if the customer may
    not have the plan, or if usage would be billed twice; NotFoundError; what `plan_change` raises.
    """
    held = await require_changeable(conn, mirror, request)
    refuse_uncharged(held)
    catalogue = await load_catalogue(conn, livemode=mirror.livemode)
    change = plan_change(held, plan, catalogue)
    await _refuse_one_too_many(conn, held, catalogue.plans[plan.plan_code], mirror.livemode)
    await _refuse_shared_meter(conn, held, catalogue, change)
    return held, _unless_planned(held, change)


def _unless_planned(held: Subscription, change: PlanChange) -> PlanChange:
    """Return the change, without items if just that is planned; ConflictError for another one."""
    to_come = held.to_come
    if to_come is None or not change.items:
        return change
    metadata = change.metadata
    wanted = (metadata["planId"], metadata["billingCycle"], change.addon_codes, change.quantities)
    planned = (
        to_come.plan_code,
        to_come.billing_cycle,
        to_come.addon_codes,
        to_come.quantities,
    )
    if change.waits and wanted == planned:
        return replace(change, items=())
    raise ConflictError(
        f"A change to {to_come.plan_name or to_come.plan_code} is planned for"
        f" {to_come.effective_at:%Y-%m-%d}. Undo it first.",
        code="change_planned",
    )


async def _refuse_one_too_many(
    conn: Connection, held: Subscription, plan: Product, livemode: bool
) -> None:
    """Refuse to change to a plan of which the customer has as many as one may have."""
    if plan.max_per_customer is None:
        return
    others = await repository.subscriptions.count_plans(
        conn, held, plan.id, plan.code, livemode=livemode
    )
    if others >= plan.max_per_customer:
        raise plan_limit_reached(plan)


async def _refuse_shared_meter(
    conn: Connection, held: Subscription, catalogue: Catalogue, change: PlanChange
) -> None:
    """Refuse a new add-on with usage beside another subscription of the same Stripe customer.

    Usage at Stripe is a customer's, so that both could be billed for it.
    """
    had = {item.code for item in held.addons}
    new = [catalogue.addons[code] for code in change.addon_codes if code not in had]
    metered = next((addon.name for addon in new if addon.usage), None)
    if metered and await repository.subscriptions.has_others_at_stripe(conn, held.id):
        raise ConflictError(
            f"{metered} is billed by usage, and this subscription shares its customer at Stripe "
            "with another one. Order it with a plan of its own.",
            code="usage_not_apart",
            fields={"addonIds": "cannot be added to this subscription"},
        )
