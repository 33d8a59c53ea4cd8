"""Walk the slices of a run from their cursors to the end, several at a time, saving each page."""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from mpanel_billing.background import end
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.mirror.repository import find_absent
from mpanel_billing.mirror.types import MIRRORED_BY_NAME
from mpanel_billing.reconciliation import repository
from mpanel_billing.reconciliation.accounts import inspect_page
from mpanel_billing.reconciliation.compare import ReconcileContext, compare_object, compare_page
from mpanel_billing.reconciliation.drift import Drift, Progress
from mpanel_billing.reconciliation.replay import replay_events
from mpanel_billing.reconciliation.repository import Run
from mpanel_billing.reconciliation.slices import STEPS, Slice, types_of
from mpanel_billing.reconciliation.usage import find_usage_drift, list_sums
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import EVENTS, Page, Resource

T = TypeVar("T")

CONCURRENCY = 4
"""Slices walked concurrently; the pace limits the rate of requests."""

ABSENT_BATCH = 1000
"""How many rows are searched at a time for objects that Stripe does not have."""

_RENEWALS_PER_LEASE = 4


class RunLostError(Exception):
    """Another process has taken over the run."""


async def walk(context: ReconcileContext, run: Run) -> None:
    """Complete and finish a run; raises RunLostError if another process takes it over."""
    context = replace(context, dry_run=run.dry_run)
    working = asyncio.create_task(_walk_steps(context, run))
    renewing = asyncio.create_task(_renew_lease(context.mirror.pool, run))
    try:
        await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            renewing.result()  # raises its error
        await working
    finally:
        await end(working, renewing)


async def _renew_lease(pool: Pool, run: Run) -> None:
    """Keep the lease, even while a page takes long."""
    while True:
        await asyncio.sleep(repository.LEASE_SECONDS / _RENEWALS_PER_LEASE)
        async with acquired(pool) as conn:
            if not await repository.renew_lease(conn, run):
                raise RunLostError


async def _walk_steps(context: ReconcileContext, run: Run) -> None:
    for step in STEPS:
        async with acquired(context.mirror.pool) as conn:
            waiting = deque(await repository.list_slices(conn, run.id, step))
        await _run_concurrently([_walk_slices(context, run, waiting) for _ in range(CONCURRENCY)])
    async with acquired(context.mirror.pool) as conn:
        if not await repository.finish_run(conn, run):
            raise RunLostError


async def _run_concurrently(coroutines: Sequence[Coroutine[None, None, None]]) -> None:
    """Await all; the first error cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in coroutines:
                group.create_task(each)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors


async def _walk_slices(context: ReconcileContext, run: Run, waiting: deque[Slice]) -> None:
    while waiting:
        await _walk_slice(context, run, waiting.popleft())


async def _walk_slice(context: ReconcileContext, run: Run, part: Slice) -> None:
    report = _PageReport(context.mirror.pool, run)
    context = replace(context, announce=report.announce)
    async with aclosing(_WALKERS[part.step](context, run, part)) as steps:
        async for progress in steps:
            async with acquired(context.mirror.pool) as conn:
                # first: if the rest fails, the page is repeated
                await report.settle(conn, progress.drift)
                if not await repository.save_progress(conn, run, part, progress):
                    raise RunLostError
            context.on_progress(progress)


class _PageReport:
    """The drift of a page, stored as repaired before each repair, and corrected at its end.

    The other way round, an interruption between the two would lose it: the page is repeated, and
    nothing differs any more.
    """

    def __init__(self, pool: Pool, run: Run) -> None:
        self._pool = pool
        self._run = run
        self._announced: set[Drift] = set()

    async def announce(self, drift: Sequence[Drift]) -> None:
        """Store drift that is about to be repaired."""
        if not drift:
            return
        async with acquired(self._pool) as conn:
            await repository.note_drift(conn, self._run, drift)
        self._announced.update(drift)

    async def settle(self, conn: Connection, drift: Sequence[Drift]) -> None:
        """Store the page's drift as it turned out, and remove what turned out to be none."""
        if wrong := self._announced.difference(drift):
            await repository.remove_drift(conn, self._run, list(wrong))
        if new := [each for each in drift if each not in self._announced]:
            await repository.note_drift(conn, self._run, new)
        self._announced.clear()


async def _replay(context: ReconcileContext, run: Run, part: Slice) -> AsyncGenerator[Progress]:
    types = {"types": types_of(part.subject)}
    async with aclosing(pages(context.mirror.stripe, EVENTS, part, types)) as listed:
        async for page in listed:
            drift = await replay_events(
                context.mirror,
                page.objects,
                dry_run=context.dry_run,
                fetch_unknown=True,
                announce=context.announce,
            )
            yield _page_progress(page, drift, events=len(page.objects))


async def _compare(context: ReconcileContext, run: Run, part: Slice) -> AsyncGenerator[Progress]:
    resource = MIRRORED_BY_NAME[part.subject].resource
    async with aclosing(pages(context.mirror.stripe, resource, part, {})) as listed:
        async for page in listed:
            compared = await compare_page(context, part.subject, page)
            count = len(page.objects)
            yield _page_progress(page, compared.drift, objects=count, known=compared.known)


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
                most=ABSENT_BATCH,
                livemode=run.livemode,
                started_at=run.started_at,
            )
        compare = partial(compare_object, context, part.subject)
        yield Progress(await _compare_each(absent, compare), after, done=after is None)


async def _compare_each(
    each: Iterable[T], compare: Callable[[T], Awaitable[Sequence[Drift]]]
) -> list[Drift]:
    drift: list[Drift] = []
    remaining = deque(each)

    async def compare_next() -> None:
        while remaining:
            drift.extend(await compare(remaining.popleft()))

    await _run_concurrently([compare_next() for _ in range(CONCURRENCY)])
    return drift


async def _compare_usage(
    context: ReconcileContext, run: Run, part: Slice
) -> AsyncGenerator[Progress]:
    since = None if run.since_days is None else run.started_at - timedelta(days=run.since_days)
    progress = Progress([], part.cursor_id, done=False)
    while not progress.done:
        sums, cursor = await list_sums(context, since, progress.cursor_id)
        drift = await _compare_each(sums, partial(find_usage_drift, context))
        progress = Progress(drift, cursor, done=cursor is None, objects=len(sums))
        yield progress


async def _inspect_accounts(
    context: ReconcileContext, run: Run, part: Slice
) -> AsyncGenerator[Progress]:
    progress = Progress([], part.cursor_id, done=False)
    while not progress.done:
        progress = await inspect_page(context, progress.cursor_id)
        yield progress


_WALKERS: Mapping[str, Callable[[ReconcileContext, Run, Slice], AsyncGenerator[Progress]]] = {
    "replay": _replay,
    "compare": _compare,
    "absent": _find_absent,
    "inspect": _inspect_accounts,
    "usage": _compare_usage,
}


def _page_progress(
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


async def pages(
    stripe: StripeGateway, resource: Resource, part: Slice, params: Mapping[str, Any]
) -> AsyncGenerator[Page]:
    """Yield the pages of a slice, newest first, fetching the next page during the current one.

    `params` are further parameters of Stripe's list. Yields at least one page, which may be empty.
    """
    request = asyncio.create_task(_list_page(stripe, resource, part, params))
    try:
        while (page := await request).has_more:
            part = part.at(page.objects[-1]["id"], page.objects[-1]["created"])
            request = asyncio.create_task(_list_page(stripe, resource, part, params))
            yield page
        yield page
    finally:
        await _discard(request)


async def _discard(request: "asyncio.Task[Page]") -> None:
    """Cancel a request and ignore its outcome."""
    request.cancel()
    await asyncio.wait({request})
    if not request.cancelled():
        request.exception()


async def _list_page(
    stripe: StripeGateway, resource: Resource, part: Slice, params: Mapping[str, Any]
) -> Page:
    """Return the page after the slice's cursor.

    If the cursor's object no longer exists, continue by its creation time; objects may repeat.
    """
    cursor = {"starting_after": part.cursor_id} if part.cursor_id else {}
    try:
        return await stripe.list_page(
            resource, {**params, **_created(part.created_from, part.created_before), **cursor}
        )
    except StripeObjectMissingError:
        before = None if part.cursor_created is None else part.cursor_created + 1
        return await stripe.list_page(resource, {**params, **_created(part.created_from, before)})


def _created(low: int | None, high: int | None) -> dict[str, Any]:
    bounds = {name: bound for name, bound in (("gte", low), ("lt", high)) if bound is not None}
    return {"created": bounds} if bounds else {}
