"""A run from where it was to its end: slice by slice, some at the same time, each page saved."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.mirror.repository import find_absent
from mpanel_billing.mirror.types import MIRRORED_BY_NAME
from mpanel_billing.reconciliation import repository
from mpanel_billing.reconciliation.accounts import inspect_page
from mpanel_billing.reconciliation.comparing import ReconcileContext, compare_page, look_at
from mpanel_billing.reconciliation.drift import Drift, Progress
from mpanel_billing.reconciliation.paging import pages
from mpanel_billing.reconciliation.replaying import replay_page
from mpanel_billing.reconciliation.repository import Run
from mpanel_billing.reconciliation.slices import STEPS, Slice, types_of
from mpanel_billing.stripe_gateway.gateway import EVENTS, Page

CONCURRENCY = 4
"""Slices that are walked at the same time; how fast, is the pace's business."""

STRETCH = 1000
"""How many of our rows are searched at once for those that Stripe does not have."""

_BEATS_A_LEASE = 4


class RunLostError(Exception):
    """Another process has taken the run over."""


async def walk(context: ReconcileContext, run: Run) -> None:
    """Do what is left of a run, and finish it; RunLostError when it is another's by now."""
    context = replace(context, dry_run=run.dry_run)
    working = asyncio.create_task(_walk_steps(context, run))
    beating = asyncio.create_task(_beat(context.mirror.pool, run))
    try:
        await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            beating.result()  # raises what has ended it
        await working
    finally:
        for task in (working, beating):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})


async def _beat(pool: Pool, run: Run) -> None:
    """Give signs of life, also while a page takes long."""
    while True:
        await asyncio.sleep(repository.LEASE_SECONDS / _BEATS_A_LEASE)
        async with acquired(pool) as conn:
            if not await repository.renew_lease(conn, run):
                raise RunLostError


async def _walk_steps(context: ReconcileContext, run: Run) -> None:
    for step in STEPS:
        async with acquired(context.mirror.pool) as conn:
            waiting = deque(await repository.list_slices(conn, run.id, step))
        await _at_once([_walk_slices(context, run, waiting) for _ in range(CONCURRENCY)])
    async with acquired(context.mirror.pool) as conn:
        if not await repository.finish_run(conn, run):
            raise RunLostError


async def _at_once(works: Sequence[Coroutine[None, None, None]]) -> None:
    """Await all; the first error ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in works:
                group.create_task(each)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors


async def _walk_slices(context: ReconcileContext, run: Run, waiting: deque[Slice]) -> None:
    while waiting:
        await _walk_slice(context, run, waiting.popleft())


async def _walk_slice(context: ReconcileContext, run: Run, part: Slice) -> None:
    async with aclosing(_STEP[part.step](context, run, part)) as steps:
        async for progress in steps:
            async with acquired(context.mirror.pool) as conn:
                if progress.drift:  # first: should the rest fail, the page is done again
                    await repository.note_drift(conn, run, progress.drift)
                if not await repository.save_progress(conn, run, part, progress):
                    raise RunLostError
            context.on_progress(progress)


async def _replay(context: ReconcileContext, run: Run, part: Slice) -> AsyncGenerator[Progress]:
    types = {"types": types_of(part.subject)}
    async with aclosing(pages(context.mirror.stripe, EVENTS, part, types)) as listed:
        async for page in listed:
            drift = await replay_page(context, page)
            yield _progress_of(page, drift, events=len(page.objects))


async def _compare(context: ReconcileContext, run: Run, part: Slice) -> AsyncGenerator[Progress]:
    resource = MIRRORED_BY_NAME[part.subject].resource
    async with aclosing(pages(context.mirror.stripe, resource, part, {})) as listed:
        async for page in listed:
            compared = await compare_page(context, part.subject, page)
            count = len(page.objects)
            yield _progress_of(page, compared.drift, objects=count, known=compared.known)


async def _find_absent(
    context: ReconcileContext, run: Run, part: Slice
) -> AsyncGenerator[Progress]:
    after: str | None = part.cursor_id or ""
    while after is not None:
        async with acquired(context.mirror.pool) as conn:
            absent, after = await find_absent(
                conn,
                part.subject,
                after=after,
                most=STRETCH,
                livemode=run.livemode,
                started_at=run.started_at,
            )
        drift = await _look_at_all(context, part.subject, absent)
        yield Progress(drift, after, done=after is None)


async def _look_at_all(
    context: ReconcileContext, object_type: str, object_ids: Sequence[str]
) -> list[Drift]:
    drift: list[Drift] = []
    left = deque(object_ids)

    async def look() -> None:
        while left:
            drift.extend(await look_at(context, object_type, left.popleft()))

    await _at_once([look() for _ in range(CONCURRENCY)])
    return drift


async def _inspect(context: ReconcileContext, run: Run, part: Slice) -> AsyncGenerator[Progress]:
    progress = Progress([], part.cursor_id, done=False)
    while not progress.done:
        progress = await inspect_page(
            context.mirror.pool, context.drivers, progress.cursor_id, dry_run=run.dry_run
        )
        yield progress


_STEP: Mapping[str, Callable[[ReconcileContext, Run, Slice], AsyncGenerator[Progress]]] = {
    "replay": _replay,
    "compare": _compare,
    "absent": _find_absent,
    "inspect": _inspect,
}


def _progress_of(
    page: Page,
    drift: Sequence[Drift],
    *,
    objects: int = 0,
    events: int = 0,
    known: Sequence[str] = (),
) -> Progress:
    last = page.objects[-1] if page.objects else None
    return Progress(
        drift,
        last["id"] if last else None,
        done=not page.has_more,
        cursor_created=last["created"] if last else None,
        objects=objects,
        events=events,
        known=known,
    )
