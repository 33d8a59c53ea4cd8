"""A request of unknown outcome gets one, or is trouble: it never stays open unseen."""

from typing import Any

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.worker.sweep import sweep
from tests.subscriptions.conftest import Backend

UNSETTLED = "SELECT count(*) FROM billing_audit_unsettled"
TROUBLE = "SELECT count(*) FROM billing_trouble WHERE trouble = 'request_unfinished'"


async def lose(backend: Backend, bought: str, **fault: Any) -> int:
    """Ask for the end of a subscription, which Stripe carries out, without an answer."""
    await backend.service.stripe.inject_fault(
        method="POST", path="/v1/subscriptions", after_work=True, times=3, **fault
    )
    lost = await backend.post(f"subscriptions/{bought}/cancel", {}, "end-it")
    return lost.status


async def pass_time(pool: Pool, minutes: int) -> None:
    for table, column in (("billing_audit_unsettled", "since"), ("billing_changes", "updated_at")):
        await pool.execute(f"UPDATE {table} SET {column} = {column} - interval '{minutes} minutes'")


FAULTS = pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])


@FAULTS
async def test_a_request_whose_repetition_is_done_is_done(
    backend: Backend, bought: str, fault: dict[str, Any]
) -> None:
    pool = backend.service.pool
    assert await lose(backend, bought, **fault) in {502, 503}
    assert await pool.fetchval(UNSETTLED) == 1
    await backend.done(f"subscriptions/{bought}/cancel", {}, "end-it")
    await pass_time(pool, minutes=2)
    settled = [(await sweep(pool))["settled"] for _ in range(2)]
    assert settled == [1, 0]
    assert await pool.fetchval(UNSETTLED) == 0
    assert {outcome for _, outcome in await backend.audit()} == {"done"}


@FAULTS
async def test_a_request_that_is_never_repeated_is_trouble(
    backend: Backend, bought: str, fault: dict[str, Any]
) -> None:
    pool = backend.service.pool
    await lose(backend, bought, **fault)
    await pass_time(pool, minutes=14)
    assert await pool.fetchval(TROUBLE) == 0
    await pass_time(pool, minutes=2)
    await sweep(pool)
    assert await pool.fetchval(TROUBLE) == 1


async def test_a_request_under_way_is_left_alone(backend: Backend, bought: str) -> None:
    """It records its outcome itself, a moment after its change is done."""
    pool = backend.service.pool
    await lose(backend, bought, kind="reset")
    await backend.done(f"subscriptions/{bought}/cancel", {}, "end-it")
    await sweep(pool)
    assert await pool.fetchval(UNSETTLED) == 1
