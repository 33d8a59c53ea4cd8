"""Another plan or term for a subscription: exactly what was previewed, or nothing; and undone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import BillingError, ConflictError, InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.provisioning.operations import list_services
from mpanel_billing.subscriptions.change_plan import (
    PlanChangePreview,
    change_plan,
    preview_plan_change,
)
from mpanel_billing.subscriptions.item_changes import PlanRequest
from mpanel_billing.subscriptions.lifecycle import ChangeRequest, undo_change
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription
from mpanel_billing.subscriptions.promise import read_promise, sign_promise
from mpanel_billing.subscriptions.records import Subscription

pages = Pages()


class Offer(NamedTuple):
    """A plan for a term, as it can be chosen; `amount` is in minor units."""

    value: str
    name: str
    billing_cycle: str
    amount: int


change = pages.action("change_plan", "/console/subscriptions/{id}/plan", scope="billing:change")


@change.show
async def show_change(visit: Visit, given: Given) -> Page:
    """Show what can be chosen; for a choice what is charged now, and from then on."""
    held = await _subscription(visit, given)
    values: dict[str, Any] = {
        "subscription": held,
        "offers": _offers(await visit.app[keys.CATALOGUE].get_catalogue(), held.currency),
        "plan": given.text("plan"),
        "previewed": None,
        "token": "",
        "key": given.form_key,
    }
    if not given.text("plan"):
        return Page("plan.html", values)
    try:
        previewed = await _preview(visit, given, held)
    except BillingError as error:
        return Page("plan.html", {**values, "error": error}, error.status)
    signed = sign_promise(visit.app[keys.PREVIEW_SIGNER], previewed.promise)
    values |= await _services(visit, given, previewed)
    return Page("plan.html", {**values, "previewed": previewed, "token": signed.token})


async def _services(visit: Visit, given: Given, previewed: PlanChangePreview) -> dict[str, Any]:
    """Return which services the change brings, and which of those that there are go with it."""
    listed = await list_services(visit.app[keys.POOL], given.id)
    had = {one["product_type"] for one in listed if one["desired"] == "active"}
    after = had if previewed.product_types is None else previewed.product_types
    return {
        "gained": sorted(after - had),
        "lost": sorted(had - after),
        "retention_days": visit.app[keys.SETTINGS].retention_days,
    }


@change.do
async def do_change(visit: Visit, given: Given) -> Done:
    """Make the change that was shown; ConflictError if something has changed since."""
    held = await _subscription(visit, given)
    token = given.text("token")
    promise = read_promise(visit.app[keys.PREVIEW_SIGNER], token, held.id)
    await change_plan(
        visit.app[keys.MIRROR],
        visit.app[keys.DRIVERS],
        _request(visit, given, held),
        promise.plan,
        promise,
        pay_first=given.text("pay_first") == "yes",
    )
    return Done(f"/console/subscriptions/{held.id}", "plan_changed")


undoing = pages.action(
    "undo_change", "/console/subscriptions/{id}/undo-change", scope="billing:change"
)


@undoing.show
async def show_undo(visit: Visit, given: Given) -> Page:
    """Show which change is not made, and what the subscription stays."""
    held = await _subscription(visit, given)
    if held.to_come is None:
        raise ConflictError(say("refusal.no_change"), code="no_change_planned")
    return Page("undo_change.html", {"subscription": held, "key": given.form_key})


@undoing.do
async def do_undo(visit: Visit, given: Given) -> Done:
    """Keep the plan."""
    held = await _subscription(visit, given)
    await undo_change(visit.app[keys.MIRROR], _request(visit, given, held))
    return Done(f"/console/subscriptions/{held.id}", "change_undone")


async def _preview(visit: Visit, given: Given, held: Subscription) -> PlanChangePreview:
    code, _, cycle = given.text("plan").partition(":")
    if not code or not cycle:
        raise InvalidRequestError(say("refusal.no_plan"))
    return await preview_plan_change(
        visit.app[keys.MIRROR],
        visit.app[keys.DRIVERS],
        _request(visit, given, held),
        PlanRequest(code, cycle),
    )


async def _subscription(visit: Visit, given: Given) -> Subscription:
    return await get_subscription(visit.app[keys.MIRROR], given.id, CustomerRef())


def _request(visit: Visit, given: Given, held: Subscription) -> ChangeRequest:
    key = given.text("key") or None
    return ChangeRequest(visit.actor, held.id, CustomerRef(held.customer_id), key)


def _offers(catalogue: Catalogue, currency: str) -> Sequence[Offer]:
    return [
        Offer(
            f"{plan.code}:{price.billing_cycle}", plan.name, price.billing_cycle, price.unit_amount
        )
        for plan in catalogue.plans.values()
        for price in plan.prices
        if price.billing_cycle and price.currency == currency
    ]
