"""Reconcile one object and its related objects immediately, for an operator."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.errors import NotFoundError
from mpanel_billing.mirror.differences import OBJECT
from mpanel_billing.mirror.reading import Fields
from mpanel_billing.mirror.types import MIRRORED
from mpanel_billing.mirror.types.invoice import INVOICE
from mpanel_billing.mirror.types.invoice_payment import INVOICE_PAYMENT
from mpanel_billing.mirror.types.subscription import SUBSCRIPTION
from mpanel_billing.provisioning.operations import find_subscription
from mpanel_billing.reconciliation.accounts import inspect_subscription
from mpanel_billing.reconciliation.compare import ReconcileContext, compare_object, compare_page
from mpanel_billing.reconciliation.drift import Drift
from mpanel_billing.reconciliation.usage import find_usage_drift_of
from mpanel_billing.search.service import find_at_stripe
from mpanel_billing.stripe_gateway.objects import Page, Resource

OBJECT_TYPES = {
    prefix: each.object_type
    for each in MIRRORED
    if each.comparison is not None
    for prefix in each.id_prefixes
}
"""The type of an object by the prefix of its id."""


async def reconcile_object(
    context: ReconcileContext, name: str, *, dry_run: bool, by: Actor | None = None
) -> Sequence[Drift]:
    """Compare one object, and what belongs to it, and repair what differs.

    `name` is its id at Stripe; if it is of a type that is not compared, or anything else that
    `search.service.find` takes, the subscriptions or customers are compared that it finds. A
    customer's subscriptions and invoices belong to it, to a subscription its customer, accounts
    and invoices, to an invoice its payments. Raises NotFoundError if nothing is found, and
    ConflictError if several customers are.
    """
    context = replace(context, dry_run=dry_run)
    drift: list[Drift] = []
    for object_id in await _named(context, name):
        drift += await _reconcile_one(context, object_id, None if dry_run else by)
    return drift


async def _named(context: ReconcileContext, name: str) -> Sequence[str]:
    """Return the ids at Stripe of the objects that a name stands for."""
    if _prefix_of(name) in OBJECT_TYPES:
        return [name]
    ids = await find_at_stripe(context.mirror.pool, name, context.mirror.stripe)
    if not ids:
        raise NotFoundError(f"{name} has no customer at Stripe.")
    return ids


def _prefix_of(object_id: str) -> str:
    return object_id.partition("_")[0]


async def _reconcile_one(
    context: ReconcileContext, object_id: str, by: Actor | None
) -> Sequence[Drift]:
    object_type = OBJECT_TYPES[_prefix_of(object_id)]
    async with audit.attempt(
        context.mirror.pool, by, "reconcile.object", Target(object_type, object_id)
    ) as entry:
        drift = [*await compare_object(context, object_type, object_id)]
        if not _is_missing(drift):
            drift += await _compare_related(context, object_type, object_id)
        entry.note(drift=len(drift), repaired=sum(each.repaired for each in drift))
    return drift


async def _compare_related(
    context: ReconcileContext, object_type: str, object_id: str
) -> Sequence[Drift]:
    """Compare what belongs to an object."""
    match object_type:
        case "customer":
            return await _compare_all_of_customer(context, object_id)
        case "subscription":
            return await _compare_all_of_subscription(context, object_id)
        case "invoice":
            return await _compare_payments(context, object_id)
        case _:
            return []


def _is_missing(drift: Sequence[Drift]) -> bool:
    return any(each.field == OBJECT and each.found is None for each in drift)


async def compare_money(context: ReconcileContext, subscription_id: str) -> Sequence[Drift]:
    """Compare a subscription with its customer, invoices and payments, but not its accounts."""
    return [
        *await compare_object(context, "subscription", subscription_id),
        *await _compare_customer(context, subscription_id),
        *await _compare_invoices(context, subscription=subscription_id),
    ]


async def _compare_all_of_customer(context: ReconcileContext, customer_id: str) -> list[Drift]:
    """Compare the subscriptions, their accounts and usage, and the invoices of a customer."""
    drift: list[Drift] = []
    async for page in _pages(context, SUBSCRIPTION.resource, customer=customer_id):
        drift += (await compare_page(context, "subscription", page)).drift
        for subscription in page.objects:
            drift += await _compare_given(context, subscription["id"])
    return drift + await _compare_invoices(context, customer=customer_id)


async def _compare_all_of_subscription(
    context: ReconcileContext, subscription_id: str
) -> list[Drift]:
    """Compare the customer, invoices, accounts and usage of a subscription."""
    return [
        *await _compare_customer(context, subscription_id),
        *await _compare_invoices(context, subscription=subscription_id),
        *await _compare_given(context, subscription_id),
    ]


async def _compare_given(context: ReconcileContext, subscription_id: str) -> Sequence[Drift]:
    """Compare what a subscription has been given: its accounts, and what was used of it."""
    try:
        subscription = await find_subscription(context.mirror.pool, subscription_id)
    except NotFoundError:  # missing, and a dry run does not create it
        return []
    return [
        *await inspect_subscription(context, subscription),
        *await find_usage_drift_of(context, subscription),
    ]


async def _compare_customer(context: ReconcileContext, subscription_id: str) -> Sequence[Drift]:
    fetched = await context.mirror.stripe.fetch(SUBSCRIPTION.resource, subscription_id)
    customer = Fields(fetched.stripe_object).reference("customer")
    return await compare_object(context, "customer", customer) if customer else []


async def _compare_invoices(context: ReconcileContext, **owner: str) -> list[Drift]:
    """Compare the invoices of a subscription or customer, and the payments of each."""
    drift: list[Drift] = []
    async for page in _pages(context, INVOICE.resource, **owner):
        drift += (await compare_page(context, "invoice", page)).drift
        for invoice in page.objects:
            drift += await _compare_payments(context, invoice["id"])
    return drift


async def _pages(
    context: ReconcileContext, resource: Resource, **filters: str
) -> AsyncIterator[Page]:
    """List objects at Stripe, page by page."""
    cursor: dict[str, str] = {}
    while True:
        page = await context.mirror.stripe.list_page(resource, {**filters, **cursor})
        yield page
        if not page.has_more:
            return
        cursor = {"starting_after": page.objects[-1]["id"]}


async def _compare_payments(context: ReconcileContext, invoice_id: str) -> Sequence[Drift]:
    page = await context.mirror.stripe.list_page(INVOICE_PAYMENT.resource, {"invoice": invoice_id})
    return (await compare_page(context, "invoice_payment", page)).drift
