"""A page of Stripe's objects compared with the mirror, and the mirror brought up to it.

Differences are applied as webhooks are: as snapshots, dated by Stripe's clock and under locks, so
that nothing newer is overwritten. A row newer than the page (a webhook arrived meanwhile) is
checked again on its own, and is not drift if it then agrees.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.differences import OBJECT, Difference
from mpanel_billing.mirror.facts import Facts
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.mirrored_type import Comparison
from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.mirror.service import APPLIED, STALE
from mpanel_billing.mirror.snapshot import snapshot_of_answer
from mpanel_billing.mirror.types import MIRRORED_BY_NAME, normalise
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.reconciliation.drift import Drift, Progress, drifts_of
from mpanel_billing.stripe_gateway.gateway import Page

logger = logging.getLogger(__name__)


_POISONED = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DeadlockDetectedError,
)
"""What one object alone may be to blame for: it is left, and the others go on."""


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What a reconcile works with; a `dry_run` only reports.

    `on_progress` is called after each page. `repairs` is held during a repair: pages of a
    subscription's invoices and of their payments, written at the same time, would deadlock.
    """

    mirror: Mirror
    drivers: Drivers
    dry_run: bool = False
    on_progress: Callable[[Progress], None] = lambda _: None
    repairs: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a page has brought: what differed, and the ids of those that we have too by now."""

    drift: Sequence[Drift]
    known: Sequence[str]


async def compare_page(context: ReconcileContext, object_type: str, page: Page) -> Compared:
    """Compare a page with our rows, and repair what differs unless it is a dry run."""
    objects = [await context.mirror.complete(stripe_object) for stripe_object in page.objects]
    read, drift = _read(context, object_type, objects)
    rows = await _rows(context, object_type, list(read))
    differing = {
        id_: found
        for id_, facts in read.items()
        if (found := differences(object_type, facts, rows.get(id_)))
    }
    if differing and context.dry_run:
        drift += await _confirm(context, object_type, page, differing, rows)
    elif differing:
        whole = {o["id"]: o for o in objects if o["id"] in differing}
        drift += await _repair(context, object_type, page, whole, differing)
    known = {*rows, *(each.object_id for each in drift if each.repaired)}
    return Compared(drift, sorted(known))


async def look_at(context: ReconcileContext, object_type: str, object_id: str) -> Sequence[Drift]:
    """Ask Stripe for one object, compare it, and repair what differs unless it is a dry run.

    A webhook may come between the answer and the look at our row, before it or after: only what
    agrees with neither differs.
    """
    row = (await _rows(context, object_type, [object_id])).get(object_id)
    try:
        fetched = await context.mirror.stripe.fetch(
            MIRRORED_BY_NAME[object_type].resource, object_id
        )
    except StripeObjectMissingError:
        return await _miss(context, object_type, object_id, row)
    stripe_object = await context.mirror.complete(fetched.stripe_object)
    read, drift = _read(context, object_type, [stripe_object])
    for facts in read.values():
        differing = differences(object_type, facts, row)
        now = (await _rows(context, object_type, [object_id])).get(object_id) if differing else row
        if differing and differences(object_type, facts, now):
            repaired = not context.dry_run and await _refresh(context, object_type, object_id)
            drift += drifts_of(object_type, object_id, differing, repaired=repaired)
    return drift


def _read(
    context: ReconcileContext, object_type: str, objects: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Facts], list[Drift]]:
    """Read objects; what cannot be read differs for good."""
    read: dict[str, Facts] = {}
    unreadable: list[Drift] = []
    for stripe_object in objects:
        try:
            facts = normalise(stripe_object, livemode=context.mirror.livemode)
        except UnreadableObjectError as error:
            id_ = str(stripe_object.get("id"))
            unreadable.append(Drift(object_type, id_, OBJECT, None, f"unreadable: {error}", False))
        else:
            read[facts.object_id] = facts
    return read, unreadable


async def _rows(
    context: ReconcileContext, object_type: str, object_ids: Sequence[str]
) -> Mapping[str, Mapping[str, Any]]:
    async with acquired(context.mirror.pool) as conn:
        return await repository.list_compared(conn, object_type, object_ids)


async def _confirm(
    context: ReconcileContext,
    object_type: str,
    page: Page,
    differing: Mapping[str, Sequence[Difference]],
    rows: Mapping[str, Mapping[str, Any]],
) -> list[Drift]:
    """Report what differs; where our row may be newer than the page, look once more."""
    drift: list[Drift] = []
    for id_, found in differing.items():
        if id_ in rows and rows[id_]["as_of"] >= page.since:
            drift += await look_at(context, object_type, id_)
        else:
            drift += drifts_of(object_type, id_, found, repaired=False)
    return drift


async def _repair(
    context: ReconcileContext,
    object_type: str,
    page: Page,
    objects: Mapping[str, Mapping[str, Any]],
    differing: Mapping[str, Sequence[Difference]],
) -> list[Drift]:
    """Apply the page's snapshots of what differs; what that leaves is looked at one by one."""
    overtaken = await _apply(context, page, list(objects.values()))
    rows = await _rows(context, object_type, list(objects))
    drift: list[Drift] = []
    for id_, stripe_object in objects.items():
        facts = normalise(stripe_object, livemode=context.mirror.livemode)
        if id_ in overtaken or differences(object_type, facts, rows.get(id_)):
            drift += await look_at(context, object_type, id_)
        else:
            drift += drifts_of(object_type, id_, differing[id_], repaired=True)
    return drift


async def _apply(
    context: ReconcileContext, page: Page, objects: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Apply snapshots of a page in one transaction; answer the ids of those to look at again.

    They are those that something newer has overtaken; all, when one of them could not be applied.
    """
    snapshots = [
        snapshot_of_answer(
            stripe_object,
            since=page.since,
            as_of=page.as_of,
            livemode=context.mirror.livemode,
            read_after=None,
        )
        for stripe_object in objects
    ]
    try:
        async with context.repairs:
            outcomes = await context.mirror.apply(snapshots)
    except _POISONED:
        logger.warning("a page could not be applied; going on one by one", exc_info=True)
        return {snapshot.object_id for snapshot in snapshots}
    return {id_ for id_, outcome in outcomes.items() if outcome == STALE}


async def _refresh(context: ReconcileContext, object_type: str, object_id: str) -> bool:
    """Bring one object up to what Stripe says now; answer whether the mirror then agrees."""
    try:
        async with context.repairs:
            now = await context.mirror.refresh(object_type, object_id)
    except _POISONED:
        logger.exception("an object could not be applied", extra={"objectId": object_id})
        return False
    row = (await _rows(context, object_type, [object_id])).get(object_id)
    return not differences(object_type, normalise(now, livemode=context.mirror.livemode), row)


async def _miss(
    context: ReconcileContext, object_type: str, object_id: str, row: Mapping[str, Any] | None
) -> Sequence[Drift]:
    """Stripe has no such object, or another account has it."""
    if row is None:
        return []
    repaired = not context.dry_run and await _bury(context, object_type, row)
    return [Drift(object_type, object_id, OBJECT, _summary_of_row(row), None, repaired)]


async def _bury(context: ReconcileContext, object_type: str, row: Mapping[str, Any]) -> bool:
    """Mirror the deletion of an object whose type says that it can be deleted in this state."""
    buried = _comparison(object_type).buried(row)
    if buried is None:
        return False
    snapshot = snapshot_of_answer(
        buried,
        since=row["as_of"],
        as_of=row["as_of"],
        livemode=context.mirror.livemode,
        read_after=(row["as_of"], row["event_id"]),
    )
    outcomes = await context.mirror.apply([snapshot])
    return outcomes[snapshot.object_id].status == APPLIED.status


def differences(
    object_type: str, facts: Facts, row: Mapping[str, Any] | None
) -> Sequence[Difference]:
    """Compare what Stripe says with our row; empty if the mirror is right."""
    comparison = _comparison(object_type)
    if row is None:
        return [Difference(OBJECT, None, comparison.summary(facts))]
    return list(comparison.differences(facts, row))


def _comparison(object_type: str) -> Comparison[Any]:
    comparison = MIRRORED_BY_NAME[object_type].comparison
    if comparison is None:
        raise ValueError(f"{object_type} is not compared")
    return comparison


def _summary_of_row(row: Mapping[str, Any]) -> str:
    """Describe in a word how the object is in the mirror."""
    word: str = row.get("stripe_status") or row.get("status") or "present"
    return word
