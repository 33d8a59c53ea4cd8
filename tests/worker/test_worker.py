"""The worker, as a process of its own."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.pool import create_pool, transaction
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.provisioning.leasing import take_lease
from mpanel_billing.worker.sweep import sweep
from tests.postgres import MakeServer
from tests.processes import SERVICE, running_worker, service_environment
from tests.provisioning.conftest import ProvisioningSystem, open_system
from tests.provisioning.reference_server import ReferenceServer
from tests.provisioning.world import World
from tests.service import Service, make_settings


async def wait_until(database_url: str, query: str, *args: object) -> asyncpg.Record:
    """Wait for a row, looking again whenever a subscription has moved."""
    conn = await asyncpg.connect(database_url)
    moved = asyncio.Event()
    try:
        await conn.add_listener("billing_subscription", lambda *_: moved.set())
        async with asyncio.timeout(30):
            while (row := await conn.fetchrow(query, *args)) is None:
                await moved.wait()
                moved.clear()
    finally:
        await conn.close()
    return row


def calling(server: ReferenceServer, **more: Any) -> dict[str, str]:
    """Return the environment of a worker that has its hosting accounts at the server."""
    return {"PROVISIONING_SERVICES": json.dumps({"hosting": server.endpoint(**more)})}


async def wait_until_active(database_url: str) -> None:
    await wait_until(database_url, "SELECT id FROM subscriptions WHERE status = 'active'")


async def wait_until_ordered(server: ReferenceServer) -> None:
    async with asyncio.timeout(20):
        await server.ordered.wait()


async def pay(system: ProvisioningSystem, id_: str = "sub_1") -> None:
    await system.deliver_subscription("active", id_=id_)
    await system.deliver_invoice("paid", f"in_{id_}", subscription=id_)


async def test_an_order_that_is_paid_gets_its_tenant(
    service: Service, database_url: str, order_a: dict[str, Any]
) -> None:
    async with running_worker(database_url, stripe_url=service.sandbox.url) as worker:
        answer = await service.buy(order_a)
        row = await wait_until(
            database_url,
            "SELECT * FROM subscriptions WHERE id = $1::text::uuid AND status = 'active'",
            answer["subscriptionId"],
        )
        assert row["tenant_id"] is not None
        assert await worker.stop() == 0
    for line in worker.lines:
        assert json.loads(line)["level"] in {"info", "debug"}, line


async def test_work_whose_job_was_lost_is_done_when_the_queue_starts(
    system: ProvisioningSystem, database_url: str
) -> None:
    """Not only at the sweep after a minute; one was lost during its run, with its lease."""
    await pay(system)
    await pay(system, "sub_2")
    await system.pool.execute("DELETE FROM pgqueuer")
    await take_lease(system.pool, await system.id_of("sub_2"))
    async with running_worker(database_url):
        query = "SELECT 1 FROM subscriptions HAVING bool_and(status = 'active')"
        await wait_until(database_url, query)


async def test_a_worker_reports_to_pm2_when_it_is_ready(database_url: str) -> None:
    ready, channel = os.pipe()
    try:
        environment = service_environment(database_url, "http://127.0.0.1:1")
        process = await asyncio.create_subprocess_exec(
            *SERVICE,
            "worker",
            env={**os.environ, **environment, "NODE_CHANNEL_FD": str(channel)},
            pass_fds=[channel],
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await asyncio.to_thread(os.read, ready, 100) == b'"ready"\n'
        process.terminate()
        assert await process.wait() == 0
    finally:
        os.close(ready)
        os.close(channel)


async def test_work_that_arrived_while_no_worker_ran_is_done(
    system: ProvisioningSystem, database_url: str
) -> None:
    await pay(system)
    async with running_worker(database_url):
        await wait_until_active(database_url)


async def test_the_work_of_a_killed_worker_is_taken_over(
    system: ProvisioningSystem, database_url: str, server: ReferenceServer
) -> None:
    server.misbehaviours.append("hang_after")
    environment = calling(server, timeout_seconds=60)
    async with running_worker(database_url, **environment) as first:
        await pay(system)
        await wait_until_ordered(server)
        await first.kill()
    async with running_worker(database_url, **environment) as second:
        await wait_until_active(database_url)
        # this has taken longer than PgQueuer waits for the first probe of its listener
        assert not any("FailingListenerError" in line for line in second.lines)
    assert server.world.of(await system.id_of()) == {"hosting": "active"}
    assert [request["generation"] for request in server.requests] == [1, 1]


async def test_a_stopping_worker_finishes_its_jobs(
    system: ProvisioningSystem, database_url: str, server: ReferenceServer
) -> None:
    server.delay = 0.5
    async with running_worker(database_url, **calling(server)) as worker:
        await pay(system)
        await wait_until_ordered(server)
        assert await worker.stop() == 0
    assert (await system.inbox.subscription())["status"] == "active"


async def test_stopping_is_bounded_and_hands_over_unfinished_jobs(
    system: ProvisioningSystem, database_url: str, server: ReferenceServer
) -> None:
    server.misbehaviours.append("slow")
    async with running_worker(database_url, **calling(server, timeout_seconds=60)) as worker:
        await pay(system)
        await wait_until_ordered(server)
        assert await worker.stop() == 0
    work = await system.work()
    assert work["lease_token"] is None
    assert work["done_version"] < work["version"]
    assert (await system.service())["pending_action"] == "create"
    assert (await sweep(system.pool))["provisioning"] == 1


async def test_a_worker_survives_the_loss_of_its_connections(
    system: ProvisioningSystem, database_url: str
) -> None:
    async with running_worker(database_url) as worker:
        await pay(system)
        await wait_until_active(database_url)
        await system.pool.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'mpanel-billing%'
              AND pid <> pg_backend_pid()
            """
        )
        await pay(system, "sub_2")
        await wait_until(
            database_url,
            "SELECT id FROM subscriptions WHERE stripe_subscription_id = 'sub_2' "
            "AND status = 'active'",
        )
        assert await worker.stop() == 0


async def test_a_lost_trigger_is_found_by_the_sweep(system: ProvisioningSystem) -> None:
    await pay(system)
    await system.pool.execute("DELETE FROM pgqueuer")
    assert (await sweep(system.pool))["provisioning"] == 0
    await system.make_due()
    assert (await sweep(system.pool))["provisioning"] == 1
    await sweep(system.pool)
    jobs = await system.pool.fetch("SELECT payload FROM pgqueuer")
    assert [job["payload"].decode() for job in jobs] == [str(await system.id_of())]


async def test_a_failed_service_is_triggered_again_when_it_is_due(
    system: ProvisioningSystem,
) -> None:
    system.world.misbehave("hosting", "fail_before")
    await pay(system)
    await system.pool.execute("DELETE FROM pgqueuer")
    await system.run()
    job = await system.inbox.row("SELECT execute_after - created AS delay FROM pgqueuer")
    leg = await system.service()
    assert 5 < job["delay"].total_seconds() < 20
    assert leg["next_attempt_at"] is not None


async def test_a_trigger_is_rolled_back_with_its_transaction(system: ProvisioningSystem) -> None:
    async def fail() -> None:
        async with transaction(system.pool) as conn:
            await enqueue_provisioning(conn, [(uuid4(), 1)])
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await system.pool.fetchval("SELECT count(*) FROM pgqueuer") == 0


@pytest.fixture
def own_postgres(run_dir: Path, make_server: MakeServer) -> Iterator[EmbeddedPostgres]:
    """A server for this test alone."""
    server = make_server(run_dir / uuid4().hex[:8])
    server.start()
    yield server
    server.stop()


async def test_a_worker_continues_after_a_restart_of_the_database(
    own_postgres: EmbeddedPostgres,
) -> None:
    own_postgres.create_database("billing")
    url = own_postgres.url("billing")
    await migrate(url)
    async with running_worker(url) as worker:
        await asyncio.to_thread(own_postgres.stop)
        await worker.wait_for("the database is unavailable")
        await asyncio.to_thread(own_postgres.start)
        settings = make_settings(database_url=url)
        async with await create_pool(settings) as pool, open_system(pool, World()) as system:
            await pay(system)
            await wait_until_active(url)
        assert await worker.stop() == 0


async def test_a_worker_continues_after_the_database_was_read_only(
    own_postgres: EmbeddedPostgres,
) -> None:
    own_postgres.create_database("billing")
    url = own_postgres.url("billing")
    await migrate(url)
    settings = make_settings(database_url=url)
    async with (
        running_worker(url) as worker,
        await create_pool(settings) as pool,
        open_system(pool, World()) as system,
    ):
        await _set_read_only(url, on=True)
        await worker.wait_for("worker ready", times=3)
        await _set_read_only(url, on=False)
        await pay(system)
        await wait_until_active(url)
        assert await worker.stop() == 0


async def _set_read_only(database_url: str, *, on: bool) -> None:
    """Let the server refuse writes, as a standby or a full disk does; open connections too."""
    conn = await asyncpg.connect(database_url)
    try:
        value = "on" if on else "off"
        await conn.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        await conn.execute("SELECT pg_reload_conf()")
    finally:
        await conn.close()
