"""One object, and what hangs on it, reconciled at once: for an operator who looks into a case."""

from collections.abc import Sequence
from dataclasses import replace

from mpanel_billing.access import audit
from mpanel_billing.access.actor import Actor
from mpanel_billing.access.audit import Target
from mpanel_billing.errors import InvalidRequestError, NotFoundError
from mpanel_billing.mirror.differences import OBJECT
from mpanel_billing.mirror.types import MIRRORED, normalise
from mpanel_billing.mirror.types.invoice import INVOICE
from mpanel_billing.mirror.types.invoice_payment import INVOICE_PAYMENT
from mpanel_billing.mirror.types.subscription import SUBSCRIPTION, SubscriptionFacts
from mpanel_billing.provisioning.operations import find_subscription
from mpanel_billing.reconciliation.accounts import inspect_subscription
from mpanel_billing.reconciliation.comparing import ReconcileContext, compare_page, look_at
from mpanel_billing.reconciliation.drift import Drift

_TYPES = {each.id_prefix: each.object_type for each in MIRRORED if each.comparison is not None}


async def reconcile_object(
    context: ReconcileContext, object_id: str, *, dry_run: bool, by: Actor | None = None
) -> Sequence[Drift]:
    """Compare one object and repair what differs; with a subscription what belongs to it.

    That is its customer, its invoices with their payments, and its accounts. InvalidRequestError
    for an id of another kind.
    """
    object_type = _TYPES.get(object_id.partition("_")[0])
    if object_type is None:
        raise InvalidRequestError(
            f"{object_id} must start with one of {', '.join(f'{prefix}_' for prefix in _TYPES)}."
        )
    context = replace(context, dry_run=dry_run)
    actor = None if dry_run else by
    async with audit.attempt(
        context.mirror.pool, actor, "reconcile.object", Target(object_type, object_id)
    ) as entry:
        drift = [*await look_at(context, object_type, object_id)]
        if object_type == "subscription" and not _is_missing(drift):
            drift += await _look_around(context, object_id)
        elif object_type == "invoice" and not _is_missing(drift):
            drift += await _payments_of(context, object_id)
        entry.note(drift=len(drift), repaired=sum(each.repaired for each in drift))
    return drift


def _is_missing(drift: Sequence[Drift]) -> bool:
    return any(each.field == OBJECT and each.found is None for each in drift)


async def _look_around(context: ReconcileContext, subscription_id: str) -> list[Drift]:
    """Look at what belongs to a subscription."""
    drift = [
        *await _customer_of(context, subscription_id),
        *await _invoices_of(context, subscription_id),
    ]
    try:
        ours = await find_subscription(context.mirror.pool, subscription_id)
    except NotFoundError:  # a dry run leaves it so
        return drift
    accounts = await inspect_subscription(
        context.mirror.pool, context.drivers, ours, dry_run=context.dry_run
    )
    return drift + accounts


async def _customer_of(context: ReconcileContext, subscription_id: str) -> Sequence[Drift]:
    fetched = await context.mirror.stripe.fetch(SUBSCRIPTION.resource, subscription_id)
    facts = normalise(fetched.stripe_object, livemode=context.mirror.livemode)
    if not isinstance(facts, SubscriptionFacts):
        raise TypeError(type(facts))
    return await look_at(context, "customer", facts.stripe_customer_id)


async def _invoices_of(context: ReconcileContext, subscription_id: str) -> list[Drift]:
    """Compare the invoices page by page, and the payments of each."""
    drift: list[Drift] = []
    cursor: dict[str, str] = {}
    while True:
        page = await context.mirror.stripe.list_page(
            INVOICE.resource, {"subscription": subscription_id, **cursor}
        )
        drift += (await compare_page(context, "invoice", page)).drift
        for invoice in page.objects:
            drift += await _payments_of(context, invoice["id"])
        if not page.has_more:
            return drift
        cursor = {"starting_after": page.objects[-1]["id"]}


async def _payments_of(context: ReconcileContext, invoice_id: str) -> Sequence[Drift]:
    page = await context.mirror.stripe.list_page(INVOICE_PAYMENT.resource, {"invoice": invoice_id})
    return (await compare_page(context, "invoice_payment", page)).drift
