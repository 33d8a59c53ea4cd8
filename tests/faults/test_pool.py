"""Connections run out: requests that cannot be served get a 503, and soon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mpanel_billing.database.pool import ACQUIRE_TIMEOUT_SECONDS, LOCK_TIMEOUT_SECONDS
from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment, polling
from tests.faults.load import under_load
from tests.faults.reliability_document import ReliabilityDocument
from tests.faults.response_log import Response

CONNECTIONS = "2"


async def test_a_pool_whose_connections_all_wait_for_a_lock(
    deployment: Deployment, document: ReliabilityDocument
) -> None:
    await deployment.start_web(DATABASE_POOL_MAX=CONNECTIONS)
    await deployment.start_worker()
    async with under_load(deployment, buyers=4, senders=4) as load, _locked_tables(deployment):
        assert await deployment.order_once() == 503
        async for _ in polling(30):
            if "event" in {response.kind for response in _refused(deployment)}:
                break
        ready, _ = await deployment.request("page", "GET", "/api/health/ready")
        live, _ = await deployment.request("page", "GET", "/api/health/live")
    await check_converged(deployment, load)
    refused = _refused(deployment)
    assert live == 200
    assert ready in {200, 503}
    assert deployment.responses.statuses() == {200, 503}
    assert "event" in {response.kind for response in refused}
    assert all(response.retry_after for response in refused if response.kind != "page")
    # an event may wait behind those before it, once for a connection and once for the lock
    assert deployment.responses.slowest(503) < 2 * (ACQUIRE_TIMEOUT_SECONDS + LOCK_TIMEOUT_SECONDS)
    document.record(
        f"all {CONNECTIONS} connections of the pool wait for a locked table",
        deployment.responses,
        recovered="no restart needed once the lock is released; slowest 503 after "
        f"{deployment.responses.slowest(503):.1f} s, `/api/health/live` stays 200",
    )


@asynccontextmanager
async def _locked_tables(deployment: Deployment) -> AsyncIterator[None]:
    async with deployment.pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE stripe_events, customers IN ACCESS EXCLUSIVE MODE")
        yield


def _refused(deployment: Deployment) -> list[Response]:
    return [response for response in deployment.responses.all if response.status == 503]
