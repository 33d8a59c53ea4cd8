"""Give a driver one order, so that whatever crashes when, it takes effect once (rule 7)."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.provisioning import repository
from mpanel_billing.provisioning.drivers.protocol import (
    Done,
    Driver,
    Order,
    Refused,
    Result,
    Unsettled,
)
from mpanel_billing.provisioning.drivers.registry import Drivers, Lane
from mpanel_billing.provisioning.lease import Lease, LeaseLostError
from mpanel_billing.provisioning.service_state import Action, Leg, assume_pending
from mpanel_billing.telemetry.counters import count_driver_call

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What giving orders takes: the database, the drivers, and the right to do so."""

    pool: Pool
    drivers: Drivers
    lease: Lease


async def give_order(desk: Desk, leg: Leg, action: Action, details: Mapping[str, Any]) -> Leg:
    """Have the leg's driver carry the action out, and store what came of it: answer the leg then.

    First the order is stored, so that a crash leaves it pending; then the driver is asked, with
    no connection held; then its answer and the leg's new state are stored in one statement.
    Raises LeaseLostError as soon as it is known that another run has taken over.
    """
    base, order = next_order(desk.lease, leg, action, details)
    lane = desk.drivers.find(leg.product_type, leg.driver)
    async with acquired(desk.pool) as conn:
        if not await repository.begin_order(conn, desk.lease, base, order):
            raise LeaseLostError
    started = time.monotonic()
    result = await _ask(lane, order)
    seconds = time.monotonic() - started
    took = round(seconds * 1000)
    count_driver_call(base.driver, order.action, repository.outcome_of(result), seconds)
    _log(leg, order, result, took)
    try:
        return await _store(desk, base, order, result, took)
    except asyncpg.UniqueViolationError:
        # the account is another subscription's: it must not be touched, nor taken for ours
        stranger = Refused("The driver answered with an account that another subscription has.")
        return await _store(desk, base, order, stranger, took)


async def _store(desk: Desk, base: Leg, order: Order, result: Result, took: int) -> Leg:
    """Store an answer and where it leaves the leg; the log gets it even when the lease is lost."""
    async with acquired(desk.pool) as conn:
        moved = await repository.store_answer(
            conn,
            desk.lease,
            base,
            order,
            result,
            duration_ms=took,
            retry_seconds=_delay(base, result),
        )
    if moved is None:
        raise LeaseLostError
    return moved


def next_order(
    lease: Lease, leg: Leg, action: Action, details: Mapping[str, Any]
) -> tuple[Leg, Order]:
    """Make the order, and the leg that it starts from.

    An order of unknown outcome is repeated as it was, under its own number. Every other gets
    the next number, and takes a pending one that it overtakes for carried out.
    """
    repeats = action == leg.pending and (
        action in {"create", "terminate"} or details == leg.pending_request
    )
    base = leg if action == leg.pending else assume_pending(leg)
    generation = leg.generation if repeats else leg.generation + 1
    key = f"{lease.subscription_id}:{leg.product_type}:{action}:{generation}"
    return base, Order(
        action=action,
        idempotency_key=key,
        subscription_id=lease.subscription_id,
        product_type=leg.product_type,
        generation=generation,
        external_ref=None if action == "create" else leg.external_ref,
        details=(leg.pending_request or {}) if repeats else details,
    )


async def _ask(lane: Lane | None, order: Order) -> Result:
    if lane is None:
        return Refused("No driver is configured for the account any longer.")
    async with lane.throttle.turn():
        return await _method(lane.driver, order.action)(order)


def _method(driver: Driver, action: Action) -> Callable[[Order], Awaitable[Result]]:
    methods: dict[Action, Callable[[Order], Awaitable[Result]]] = {
        "create": driver.create,
        "suspend": driver.suspend,
        "resume": driver.resume,
        "change": driver.change,
        "terminate": driver.terminate,
    }
    return methods[action]


def _delay(base: Leg, result: Result) -> float | None:
    """Return the seconds until the order is repeated; None: it is not."""
    if not isinstance(result, Unsettled):
        return None
    return retry_seconds(base.attempts + 1, result.retry_after)


def _log(leg: Leg, order: Order, result: Result, took: int) -> None:
    failed = not isinstance(result, Done)
    logger.log(
        logging.WARNING if failed else logging.INFO,
        "%s %s: %s",
        order.action,
        order.product_type,
        result.error if isinstance(result, Unsettled | Refused) else "done",
        extra={
            "subscriptionId": str(order.subscription_id),
            "productType": order.product_type,
            "action": order.action,
            "driver": leg.driver,
            "generation": order.generation,
            "durationMs": took,
        },
    )
