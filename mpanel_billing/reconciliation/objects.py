"""Reconcile one object and its related objects immediately, for an operator."""

from collections.abc import Sequence
from dataclasses import replace

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.errors import InvalidRequestError, NotFoundError
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

OBJECT_TYPES = {
    prefix: each.object_type
    for each in MIRRORED
    if each.comparison is not None
    for prefix in each.id_prefixes
}
"""The type of an object by the prefix of its id."""


async def reconcile_object(
    context: ReconcileContext, object_id: str, *, dry_run: bool, by: Actor | None = None
) -> Sequence[Drift]:
    """Compare one object and repair what differs.

    Includes an invoice's payments, and a subscription's customer, accounts, invoices and their
    payments. Raises InvalidRequestError if objects of this type are not compared.
    """
    object_type = OBJECT_TYPES.get(object_id.partition("_")[0])
    if object_type is None:
        raise InvalidRequestError(
            f"{object_id} must start with one of {', '.join(f'{p}_' for p in OBJECT_TYPES)}."
        )
    context = replace(context, dry_run=dry_run)
    actor = None if dry_run else by
    async with audit.attempt(
        context.mirror.pool, actor, "reconcile.object", Target(object_type, object_id)
    ) as entry:
        drift = [*await compare_object(context, object_type, object_id)]
        if object_type == "subscription" and not _is_missing(drift):
            drift += await _compare_related(context, object_id)
        elif object_type == "invoice" and not _is_missing(drift):
            drift += await _compare_payments(context, object_id)
        entry.note(drift=len(drift), repaired=sum(each.repaired for each in drift))
    return drift


def _is_missing(drift: Sequence[Drift]) -> bool:
    return any(each.field == OBJECT and each.found is None for each in drift)


async def compare_money(context: ReconcileContext, subscription_id: str) -> Sequence[Drift]:
    """Compare a subscription with its customer, invoices and payments, but not its accounts."""
    return [
        *await compare_object(context, "subscription", subscription_id),
        *await _compare_customer(context, subscription_id),
        *await _compare_invoices(context, subscription_id),
    ]


async def _compare_related(context: ReconcileContext, subscription_id: str) -> list[Drift]:
    """Compare the customer, invoices and accounts of a subscription."""
    drift = [
        *await _compare_customer(context, subscription_id),
        *await _compare_invoices(context, subscription_id),
    ]
    try:
        subscription = await find_subscription(context.mirror.pool, subscription_id)
    except NotFoundError:  # missing, and a dry run does not create it
        return drift
    return drift + await inspect_subscription(context, subscription)


async def _compare_customer(context: ReconcileContext, subscription_id: str) -> Sequence[Drift]:
    fetched = await context.mirror.stripe.fetch(SUBSCRIPTION.resource, subscription_id)
    customer = Fields(fetched.stripe_object).reference("customer")
    return await compare_object(context, "customer", customer) if customer else []


async def _compare_invoices(context: ReconcileContext, subscription_id: str) -> list[Drift]:
    """Compare the invoices, and the payments of each."""
    drift: list[Drift] = []
    cursor: dict[str, str] = {}
    while True:
        page = await context.mirror.stripe.list_page(
            INVOICE.resource, {"subscription": subscription_id, **cursor}
        )
        drift += (await compare_page(context, "invoice", page)).drift
        for invoice in page.objects:
            drift += await _compare_payments(context, invoice["id"])
        if not page.has_more:
            return drift
        cursor = {"starting_after": page.objects[-1]["id"]}


async def _compare_payments(context: ReconcileContext, invoice_id: str) -> Sequence[Drift]:
    page = await context.mirror.stripe.list_page(INVOICE_PAYMENT.resource, {"invoice": invoice_id})
    return (await compare_page(context, "invoice_payment", page)).drift
