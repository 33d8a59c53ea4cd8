"""Runs what is due: on test clocks that advance, and on the sandbox's own clock."""

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress

from stripe_sandbox.billing.account_checks import LAPSES
from stripe_sandbox.billing.cash_balance import EXPIRES as RETURN_EXPIRES
from stripe_sandbox.billing.cash_balance import expire_return
from stripe_sandbox.billing.checkout import expire_session
from stripe_sandbox.billing.consequences import bring_about
from stripe_sandbox.billing.debit_outcomes import settle_debit
from stripe_sandbox.billing.debits import SETTLES
from stripe_sandbox.billing.disputes import lapse_dispute
from stripe_sandbox.billing.due_invoices import FALLS_DUE, fall_due
from stripe_sandbox.billing.later import KIND as TASK
from stripe_sandbox.billing.later import take_task, task_due
from stripe_sandbox.billing.microdeposits import lapse_verification
from stripe_sandbox.billing.pause_schedules import BEGINS, ENDS, begin_pause
from stripe_sandbox.billing.pause_schedules import end_pause as end_scheduled_pause
from stripe_sandbox.billing.periods import earliest_end
from stripe_sandbox.billing.phases import (
    EXPIRES,
    advance_due_schedule,
    advance_schedule,
    announce_expiry,
)
from stripe_sandbox.billing.portal_pauses import resume as end_pause
from stripe_sandbox.billing.refunds import settle_refund
from stripe_sandbox.billing.renewals import (
    RENEWING,
    advance_invoice,
    advance_subscription,
    invoice_due,
    subscription_due,
)
from stripe_sandbox.billing.resuming import expire_resumption
from stripe_sandbox.billing.resumptions import PAUSE_ENDS, RESUMPTION_EXPIRES
from stripe_sandbox.billing.subscription_schedules import schedule_due
from stripe_sandbox.billing.subscriptions import MARKS
from stripe_sandbox.billing.tax_ids import VERIFIES, verify_tax_id
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.journal import Change
from stripe_sandbox.world import Origin, World

logger = logging.getLogger(__name__)

CLOCK = "test_helpers.test_clock"


def _session_due(_: World, session: ReadOnly) -> int | None:
    return session["expires_at"] if session["status"] == "open" else None


def _invoice_due(_: World, invoice: ReadOnly) -> int | None:
    return invoice_due(invoice)


def _expire(world: World, session: Document) -> None:
    expire_session(world, session)


def _advance_subscription(world: World, subscription: Document) -> None:
    if subscription["schedule"]:
        advance_due_schedule(world, subscription)
        subscription = world.find("subscription", subscription["id"])
    due = subscription_due(world, subscription)
    if due is not None and due <= world.time_of(subscription):
        advance_subscription(world, subscription)


def _run_task(world: World, task: Document) -> None:
    TASKS[task["what"]](world, take_task(world, task))


TASKS: dict[str, Callable[[World, Document], None]] = {
    BEGINS: begin_pause,
    ENDS: end_scheduled_pause,
    EXPIRES: announce_expiry,
    FALLS_DUE: fall_due,
    LAPSES: lapse_verification,
    PAUSE_ENDS: end_pause,
    SETTLES: settle_debit,
    "bring_about": bring_about,
    "lapse_dispute": lapse_dispute,
    "settle_refund": settle_refund,
    RESUMPTION_EXPIRES: expire_resumption,
    RETURN_EXPIRES: expire_return,
    VERIFIES: verify_tax_id,
}
"""What tasks do, by their name; see `later`."""

DUE: dict[str, Callable[[World, ReadOnly], int | None]] = {
    "checkout.session": _session_due,
    "invoice": _invoice_due,
    "subscription": subscription_due,
    "subscription_schedule": schedule_due,
    TASK: task_due,
}
ADVANCE: dict[str, Callable[[World, Document], None]] = {
    "checkout.session": _expire,
    "invoice": advance_invoice,
    "subscription": _advance_subscription,
    "subscription_schedule": advance_schedule,
    TASK: _run_task,
}


def advance_clock(world: World, clock: Document, target: int) -> Document:
    """Advance a test clock to a Unix time, running everything due on the way, in order.

    Its events carry no request: time caused them, not the request that advanced the clock.
    """
    world.announce("test_helpers.test_clock.advancing", clock | {"status": "advancing"})
    world.origin = Origin()
    while (first := _first_due(world, clock["id"])) and first[0] <= target:
        due, kind, object_id = first
        clock["frozen_time"] = max(due, clock["frozen_time"])
        world.save(clock)
        ADVANCE[kind](world, world.find(kind, object_id))
    clock["frozen_time"] = target
    clock = world.save(clock)
    world.announce("test_helpers.test_clock.ready", clock)
    return clock


def move_test_clock(world: World, clock_id: str, target: int) -> Document:
    """Advance a test clock as far as wanted; the API allows two intervals at a time.

    Raises ApiError for an unknown clock, or a time that is not ahead.
    """
    with world.store.transaction():
        clock = world.find(CLOCK, clock_id, "test_clock")
        if target <= clock["frozen_time"]:
            raise invalid("The clock can only be moved forwards.", param="advance_to")
        return advance_clock(world, clock, target)


def next_renewal(world: World, clock_id: str) -> int | None:
    """Return the Unix time of the next renewal by a test clock, if there is any."""
    customers = world.store.where("customer", "test_clock", clock_id)
    mine = (
        subscription
        for customer in customers
        for subscription in world.store.where("subscription", "customer", customer["id"])
    )
    return min((earliest_end(one) for one in mine if one["status"] in RENEWING), default=None)


def _first_due(world: World, clock_id: str) -> tuple[int, str, str] | None:
    return min(_dues(world, clock_id), default=None)


def _dues(world: World, clock_id: str) -> Iterator[tuple[int, str, str]]:
    for kind, document in _of_clock(world, clock_id):
        due = DUE[kind](world, document)
        if due is not None:
            yield due, kind, document["id"]


def _of_clock(world: World, clock_id: str) -> Iterator[tuple[str, ReadOnly]]:
    """Yield what can fall due by a test clock: its tasks, and what its customers have."""
    store = world.store
    yield from ((TASK, task) for task in store.where(TASK, "test_clock", clock_id))
    for customer in store.where("customer", "test_clock", clock_id):
        for kind in DUE.keys() - {TASK}:
            yield from ((kind, one) for one in store.where(kind, "customer", customer["id"]))


def _report(task: asyncio.Task[None]) -> None:
    """Log why the clock stopped, unless it was cancelled."""
    if not task.cancelled() and task.exception():
        logger.error("the sandbox's clock has stopped", exc_info=task.exception())


class WallClock:
    """Runs what is due on objects without a test clock, as time passes or is advanced."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dues: dict[tuple[str, str], int] = {}
        self._heap: list[tuple[int, str, str]] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        world.store.subscribe(self._notice, self._begin)

    def start(self) -> None:
        """Start, including what an earlier run left."""
        self._begin()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_report)

    async def stop(self) -> None:
        """Stop; what falls due later waits for the next start."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    def advance(self, target: int) -> None:
        """Advance to a Unix time, running everything due on the way, in order.

        Raises ApiError for a time in the past.
        """
        if target < self._world.now():
            raise invalid("The clock can only be moved forwards.", param="advance_to")
        self._drop_stale()
        while self._heap and self._heap[0][0] <= target:
            self._advance_first()
            self._drop_stale()
        with self._world.store.transaction():
            self._world.set_wall_clock(target)
        self._news.set()

    def next_renewal(self) -> int | None:
        """Return the Unix time of the next renewal, if there is any.

        A subscription renews at its due time or later, so those due after the earliest renewal
        found are not read.
        """
        first: int | None = None
        for due, subscription_id in sorted(
            (due, id_) for (kind, id_), due in self._dues.items() if kind == "subscription"
        ):
            if first is not None and due >= first:
                break
            subscription = self._world.store.peek("subscription", subscription_id)
            if subscription and subscription["status"] in RENEWING:
                first = min(earliest_end(subscription), first or earliest_end(subscription))
        return first

    def _begin(self) -> None:
        """Plan what is due by the objects that there are."""
        self._dues.clear()
        self._heap.clear()
        for kind in DUE:
            for document in self._world.store.all(kind):
                self._track(kind, document["id"], document)
        self._news.set()

    def _notice(self, changes: list[Change]) -> None:
        for change in changes:
            if change.kind in DUE:
                self._track(change.kind, change.id, change.document)
            elif change.kind == MARKS:
                subscription = self._world.store.peek("subscription", change.id)
                self._track("subscription", change.id, subscription)

    def _track(self, kind: str, object_id: str, document: ReadOnly | None) -> None:
        due = DUE[kind](self._world, document) if document else None
        if due is None or document is None or self._world.clock_of(document):
            self._dues.pop((kind, object_id), None)
        elif self._dues.get((kind, object_id)) != due:
            self._dues[kind, object_id] = due
            heapq.heappush(self._heap, (due, kind, object_id))
            self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            self._drop_stale()
            wait = self._heap[0][0] - self._world.now() if self._heap else None
            if wait is not None and wait <= 0:
                self._advance_first()
                await asyncio.sleep(0)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    def _drop_stale(self) -> None:
        """Drop heap entries that are done or have another due time since."""
        while self._heap and self._dues.get(self._heap[0][1:]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    def _advance_first(self) -> None:
        due, kind, object_id = heapq.heappop(self._heap)
        self._dues.pop((kind, object_id), None)
        with self._world.store.transaction():
            if due > self._world.now():
                self._world.set_wall_clock(due)
            ADVANCE[kind](self._world, self._world.find(kind, object_id))
