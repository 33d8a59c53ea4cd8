"""Compare Stripe's objects with the mirror, and repair the mirror.

Differences are applied as webhooks are: as snapshots, dated by Stripe's clock and under locks, so
that nothing newer is overwritten. A row newer than the page (a webhook has arrived since)
is checked again on its own, and is not drift if it then agrees.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import StripeObjectMissingError, StripeObjectUnreadableError
from mpanel_billing.mirror import repository
from mpanel_billing.mirror.differences import OBJECT, Difference
from mpanel_billing.mirror.facts import Facts
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.mirrored_type import Comparison
from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.mirror.service import STALE
from mpanel_billing.mirror.snapshot import snapshot_of_answer
from mpanel_billing.mirror.types import CARRIED, MIRRORED_BY_NAME, normalise
from mpanel_billing.mirror.types.subscription import SUBSCRIPTION
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.reconciliation.drift import Announce, Drift, Progress, drifts_of, unannounced
from mpanel_billing.stripe_gateway.objects import Page

logger = logging.getLogger(__name__)


_OBJECT_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DeadlockDetectedError,
)
"""Errors that a single object can cause: it is skipped, and the others continue."""


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What a reconcile works with; a `dry_run` only reports.

    `on_progress` is called after each page. `announce` stores drift before it is repaired: after
    an interruption nothing else would show it. `repairs` is held during a repair: writing a page
    of invoices and a page of their payments concurrently would deadlock.
    """

    mirror: Mirror
    drivers: Drivers
    dry_run: bool = False
    on_progress: Callable[[Progress], None] = lambda _: None
    announce: Announce = unannounced
    repairs: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Compared:
    """The drift of a page, and the ids of its objects that the mirror has after repairs."""

    drift: Sequence[Drift]
    known: Sequence[str]


async def compare_page(context: ReconcileContext, object_type: str, page: Page) -> Compared:
    """Compare a page with the stored rows; repair what differs unless it is a dry run.

    With them what they carry: objects that Stripe lists only there.
    """
    compared = [await _compare_objects(context, object_type, page)]
    for carried in CARRIED.get(object_type, ()):
        of_page = MIRRORED_BY_NAME[object_type].contained
        objects = [each for carrier in page.objects for each in of_page(carrier)]
        objects = [each for each in objects if each.get("object") == carried]
        if objects:
            part = replace(page, objects=objects)
            compared.append(await _compare_objects(context, carried, part))
    return Compared(
        [drift for each in compared for drift in each.drift],
        [id_ for each in compared for id_ in each.known],
    )


async def _compare_objects(context: ReconcileContext, object_type: str, page: Page) -> Compared:
    objects = [await context.mirror.complete(stripe_object) for stripe_object in page.objects]
    read, drift = await _read_all(context, object_type, objects)
    rows = await _stored_rows(context, object_type, list(read))
    deleted = await _deleted_here(context, object_type, read.keys() - rows.keys())
    if deleted and not context.dry_run:  # only notes what Stripe says of them
        await _apply(context, page, [o for o in objects if o["id"] in deleted])
    read = {id_: facts for id_, facts in read.items() if id_ not in deleted}
    differing = {
        id_: found
        for id_, facts in read.items()
        if (found := differences(object_type, facts, rows.get(id_)))
    }
    if differing and context.dry_run:
        drift += await _confirm(context, object_type, page, differing, rows)
    elif differing:
        to_repair = {o["id"]: o for o in objects if o["id"] in differing}
        drift += await _repair(context, object_type, page, to_repair, differing)
    known = {*rows, *(each.object_id for each in drift if each.repaired)}
    return Compared(drift, sorted(known))


async def compare_object(
    context: ReconcileContext, object_type: str, object_id: str
) -> Sequence[Drift]:
    """Fetch one object from Stripe and compare it; repair what differs unless it is a dry run.

    A webhook may update the row during the fetch, so the object only counts as differing if it
    matches neither the row from before the fetch nor the row from after it.
    """
    row = (await _stored_rows(context, object_type, [object_id])).get(object_id)
    try:
        fetched = await context.mirror.stripe.fetch(
            MIRRORED_BY_NAME[object_type].resource, object_id
        )
    except StripeObjectMissingError:
        return await _compare_missing(context, object_type, object_id, row)
    if row is None and await _deleted_here(context, object_type, [object_id]):
        return []
    stripe_object = await context.mirror.complete(fetched.stripe_object)
    read, drift = await _read_all(context, object_type, [stripe_object])
    for facts in read.values():
        differing = differences(object_type, facts, row)
        now = (
            (await _stored_rows(context, object_type, [object_id])).get(object_id)
            if differing
            else row
        )
        if differing and differences(object_type, facts, now):
            drift += await _refresh(context, object_type, object_id, differing)
    return drift


async def _read_all(
    context: ReconcileContext, object_type: str, objects: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Facts], list[Drift]]:
    """Read objects; an unreadable one is drift, and kept as a failed refetch."""
    read: dict[str, Facts] = {}
    unreadable: dict[str, UnreadableObjectError] = {}
    for stripe_object in objects:
        try:
            facts = normalise(stripe_object, livemode=context.mirror.livemode)
        except UnreadableObjectError as error:
            unreadable[str(stripe_object.get("id"))] = error
        else:
            read[facts.object_id] = facts
    if unreadable and not context.dry_run:
        await context.mirror.keep_unreadable(object_type, unreadable)
    return read, [
        Drift(object_type, id_, OBJECT, None, f"unreadable: {error}", repaired=False)
        for id_, error in unreadable.items()
    ]


async def _deleted_here(
    context: ReconcileContext, object_type: str, absent: Iterable[str]
) -> set[str]:
    """Return the objects whose rows were deleted here: a person decides about them."""
    if object_type != SUBSCRIPTION.object_type or not (ids := list(absent)):
        return set()
    async with acquired(context.mirror.pool) as conn:
        return await repository.list_deleted_here(conn, ids)


async def _stored_rows(
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
    """Report what differs; if the stored row may be newer than the page, compare again."""
    drift: list[Drift] = []
    for id_, found in differing.items():
        if id_ in rows and rows[id_]["as_of"] >= page.since:
            drift += await compare_object(context, object_type, id_)
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
    """Apply the page's snapshots of what differs, then compare the rest one by one."""
    await context.announce(
        [
            drift
            for id_, found in differing.items()
            for drift in drifts_of(object_type, id_, found, repaired=True)
        ]
    )
    outdated = await _apply(context, page, list(objects.values()))
    rows = await _stored_rows(context, object_type, list(objects))
    drift: list[Drift] = []
    for id_, stripe_object in objects.items():
        facts = normalise(stripe_object, livemode=context.mirror.livemode)
        if id_ in outdated or differences(object_type, facts, rows.get(id_)):
            drift += await compare_object(context, object_type, id_)
        else:
            drift += drifts_of(object_type, id_, differing[id_], repaired=True)
    return drift


async def _apply(
    context: ReconcileContext, page: Page, objects: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Apply snapshots of a page in one transaction; return the ids to compare again.

    These are the ones that were stale, or all of them if one could not be applied.
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
    except _OBJECT_ERRORS:
        logger.warning("cannot apply a page; applying its objects one by one", exc_info=True)
        return {snapshot.object_id for snapshot in snapshots}
    return {id_ for id_, outcome in outcomes.items() if outcome == STALE}


async def _refresh(
    context: ReconcileContext, object_type: str, object_id: str, differing: Sequence[Difference]
) -> Sequence[Drift]:
    """Refetch and apply one object that differs, unless it is a dry run; return its drift."""
    drift = drifts_of(object_type, object_id, differing, repaired=True)
    if not context.dry_run:
        await context.announce(drift)
        if await _refetch(context, object_type, object_id):
            return drift
    return drifts_of(object_type, object_id, differing, repaired=False)


async def _refetch(context: ReconcileContext, object_type: str, object_id: str) -> bool:
    """Refetch and apply one object; return whether the mirror now matches Stripe."""
    try:
        async with context.repairs:
            now = await context.mirror.refresh(object_type, object_id)
    except StripeObjectUnreadableError:  # kept as a failed refetch
        return False
    except _OBJECT_ERRORS:
        logger.exception("cannot apply an object", extra={"objectId": object_id})
        return False
    row = (await _stored_rows(context, object_type, [object_id])).get(object_id)
    return not differences(object_type, normalise(now, livemode=context.mirror.livemode), row)


async def _compare_missing(
    context: ReconcileContext, object_type: str, object_id: str, row: Mapping[str, Any] | None
) -> Sequence[Drift]:
    """Report an object that Stripe does not have in this account."""
    if row is None:
        return []
    drift = Drift(object_type, object_id, OBJECT, _row_summary(row), None, repaired=False)
    buried = _comparison(object_type).buried(row)
    if buried is None or context.dry_run:
        return [drift]
    await context.announce([replace(drift, repaired=True)])
    return [replace(drift, repaired=await context.mirror.bury(object_type, row))]


def differences(
    object_type: str, facts: Facts, row: Mapping[str, Any] | None
) -> Sequence[Difference]:
    """Return how the stored row differs from Stripe's object."""
    comparison = _comparison(object_type)
    if row is None:
        return [Difference(OBJECT, None, comparison.summary(facts))]
    return list(comparison.differences(facts, row))


def _comparison(object_type: str) -> Comparison[Any]:
    comparison = MIRRORED_BY_NAME[object_type].comparison
    if comparison is None:
        raise ValueError(f"{object_type} is not compared")
    return comparison


def _row_summary(row: Mapping[str, Any]) -> str:
    """Return the mirrored object's status, for the report."""
    status: str = row.get("stripe_status") or row.get("status") or "present"
    return status
