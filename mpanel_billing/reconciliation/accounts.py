"""Compare the services' accounts with our records."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from mpanel_billing.provisioning.drift import Drift as AccountDrift
from mpanel_billing.provisioning.drift import find_drift_of, find_drift_page, repair
from mpanel_billing.provisioning.drivers.protocol import Found, Unknown
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift, Progress


async def inspect_page(context: ReconcileContext, after: str | None) -> Progress:
    """Check the next page of accounts; unless it is a dry run, have the worker repair drift.

    An account that cannot be checked (its driver only logs, or its server is down) is not drift;
    billing_trouble lists the services that are not in their desired state.
    """
    position = None if after is None else _parse_cursor(after)
    page = await find_drift_page(context.mirror.pool, context.drivers, position)
    drift = await _repair_all(context, page.drift)
    end = None if page.last is None else f"{page.last[0]}/{page.last[1]}"
    return Progress(drift, end, done=page.last is None, accounts=page.known)


async def inspect_subscription(context: ReconcileContext, subscription_id: UUID) -> list[Drift]:
    """Check the accounts of one subscription, and have the worker repair drift."""
    found = await find_drift_of(context.mirror.pool, context.drivers, subscription_id)
    return await _repair_all(context, found)


async def _repair_all(context: ReconcileContext, drifts: Iterable[AccountDrift]) -> list[Drift]:
    return [
        await _repair(context, each, _account_drift(each, each.found))
        for each in drifts
        if not isinstance(each.found, Unknown)
    ]


async def _repair(context: ReconcileContext, each: AccountDrift, drift: Drift) -> Drift:
    if context.dry_run:
        return drift
    await context.announce([replace(drift, repaired=True)])
    return replace(drift, repaired=await repair(context.mirror.pool, each))


def _account_drift(each: AccountDrift, found: Found) -> Drift:
    same_state = found.actual == each.expected
    return Drift(
        "account",
        f"{each.account.subscription_id}/{each.account.product_type}",
        "resources" if same_state else "actual",
        each.expected,
        _describe_found(found, same_state=same_state),
        repaired=False,
    )


def _describe_found(found: Found, *, same_state: bool) -> str:
    if found.suspended_by_service is not None:
        return f"suspended by the service itself: {found.suspended_by_service}"
    return "different resources, reference or generation" if same_state else found.actual


def _parse_cursor(cursor: str) -> tuple[UUID, str]:
    subscription_id, _, product_type = cursor.partition("/")
    return UUID(subscription_id), product_type
