"""What high availability promises, on six hosts that break: `make test-ha`."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby

import pytest

from tests.faults.convergence import check_converged
from tests.faults.deployment import polling
from tests.faults.load import LAST_SECONDS, Load, under_load
from tests.faults.reliability_document import ReliabilityDocument
from tests.faults.response_log import NO_RESPONSE, ResponseLog
from tests.ha.cluster import APPS, Cluster
from tests.ha.hosts import Host
from tests.ha.probes import Probes, probing

ROUNDS = int(os.environ.get("HA_ROUNDS", "1"))
CUTS = 3
GIVEN_UP_SECONDS = 15
"""deploy/ha/haproxy-web.cfg gives up requests to a host that is gone after 10."""
TTL_SECONDS = 20
"""Of deploy/ha/patroni.yml: a primary that does not prolong its term loses it by then."""

# an order that is sent again, because its outcome is unknown, has the same key
CREATED_WITH_TWO_KEYS = """
SELECT subscription_id, product_type
FROM provisioning_log WHERE action = 'create' AND outcome = 'done'
GROUP BY subscription_id, product_type HAVING count(DISTINCT idempotency_key) > 1
"""

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif("HA_FOLDER" not in os.environ, reason="no hosts: run `make test-ha`"),
    pytest.mark.parametrize("round_", range(ROUNDS)),
]


@dataclass(frozen=True)
class Watch:
    """The clients, the probes, and who led before."""

    load: Load
    probes: Probes
    led_before: list[str]


@asynccontextmanager
async def under_watch(cluster: Cluster) -> AsyncIterator[Watch]:
    """Load and probe during the block; then nothing that was acknowledged may be lost."""
    deployment = cluster.deployment
    deployment.responses = ResponseLog()
    await cluster.wait_until_whole()
    await deployment.pool.expire_connections()
    led_before = await cluster.history()
    async with (
        probing(cluster.databases) as probes,
        under_load(deployment, buyers=1, senders=2) as load,
    ):
        yield Watch(load, probes, led_before)
        await cluster.wait_until_whole()
    await check_converged(deployment, load, created_twice=CREATED_WITH_TWO_KEYS)
    await check_probes(cluster, probes)
    check_accounts(cluster)


async def check_probes(cluster: Cluster, probes: Probes) -> None:
    conn = await cluster.connect_to_leader()
    assert await probes.lost(conn) == set()
    await conn.close()


def check_accounts(cluster: Cluster) -> None:
    made = [(one.subscription_id, one.product_type) for one in cluster.accounts.world.accounts]
    assert made
    assert len(made) == len(set(made))


async def check_reigns(cluster: Cluster, watch: Watch, *reigns: Host) -> None:
    """Exactly these have led, one after the other: says Patroni, and who acknowledged writes."""
    names = [host.name for host in reigns]
    assert watch.probes.reigns() == names
    first = [] if watch.led_before else names[:1]  # not in the history
    assert distinct(first + await cluster.history()) == distinct(watch.led_before + names)


def distinct(names: list[str]) -> list[str]:
    """Name a host once if it has led twice in a row: after a restart, say."""
    return [name for name, _ in groupby(names)]


def lost_none_of(watch: Watch) -> str:
    return (
        f"none of {len(watch.load.acknowledged)} acknowledged events lost, nor of "
        f"{len(watch.probes.writes)} other writes"
    )


async def test_the_primary_is_killed(
    cluster: Cluster, document: ReliabilityDocument, round_: int
) -> None:
    async with under_watch(cluster) as watch:
        old = await cluster.leader()
        old.crash()
        new = await cluster.leader()
        await watch.load.wait_for_purchases(1)
        old.heal()
        cluster.start_database(old)
        await cluster.wait_until_whole()
    await check_reigns(cluster, watch, old, new)
    document.record(
        "several hosts: the host of the primary is lost, and comes back",
        cluster.deployment.responses,
        recovered=f"Patroni promotes the synchronous standby; {lost_none_of(watch)}",
    )


async def test_the_server_of_the_primary_is_killed(
    cluster: Cluster, document: ReliabilityDocument, round_: int
) -> None:
    async with under_watch(cluster) as watch:
        primary = await cluster.leader()
        primary.kill_postgres()
        await watch.load.wait_for_purchases(2)
        await cluster.wait_until_whole()
    await check_reigns(cluster, watch, primary)
    document.record(
        "several hosts: PostgreSQL is killed on the host of the primary, Patroni is not",
        cluster.deployment.responses,
        recovered=f"Patroni starts it again; {lost_none_of(watch)}",
    )


async def test_the_primary_is_cut_off(
    cluster: Cluster, document: ReliabilityDocument, round_: int
) -> None:
    async with under_watch(cluster) as watch:
        reigns = [await cluster.leader()]
        for _ in range(CUTS):
            cut_off = reigns[-1]
            cut_off.cut()
            reigns.append(await other_leader(cluster, cut_off))
            await watch.load.wait_for_purchases(1)
            cut_off.heal()
            await cluster.wait_until_whole()
    await check_reigns(cluster, watch, *reigns)
    document.record(
        f"several hosts: the primary is cut off by the network, alive, and heals, {CUTS} times",
        cluster.deployment.responses,
        recovered="the one cut off stops accepting writes before another is promoted, and follows "
        f"it afterwards; {lost_none_of(watch)}",
    )


async def test_the_leader_of_etcd_is_killed(
    cluster: Cluster, document: ReliabilityDocument, round_: int
) -> None:
    async with under_watch(cluster) as watch:
        primary = await cluster.leader()
        leader = await cluster.etcd_leader()
        leader.kill("etcd")
        await asyncio.sleep(TTL_SECONDS)
        cluster.start_etcd(leader)
        await cluster.wait_for(f"http://{leader.name}:2379/health")
    await check_reigns(cluster, watch, primary)
    document.record(
        "several hosts: the leader of etcd is killed",
        cluster.deployment.responses,
        recovered=f"not needed: the primary stays; {lost_none_of(watch)}",
    )


async def test_a_web_host_is_lost(
    cluster: Cluster, document: ReliabilityDocument, round_: int
) -> None:
    app = cluster.hosts["app1"]
    async with under_watch(cluster) as watch:
        primary = await cluster.leader()
        app.crash()
        await watch.load.wait_for_purchases(3)
        app.heal()
        cluster.start_app(app)
        await cluster.wait_for(f"http://{app.name}:4242/api/health/ready")
    await check_reigns(cluster, watch, primary)
    assert cluster.deployment.responses.slowest(NO_RESPONSE) < GIVEN_UP_SECONDS
    document.record(
        "several hosts: a host with web and worker is lost, and comes back",
        cluster.deployment.responses,
        recovered="HAProxy leaves it out, and gives up the requests that were there after 10 s; "
        f"the other worker takes over; {lost_none_of(watch)}",
    )


async def test_everything_is_restarted_host_by_host(
    cluster: Cluster, document: ReliabilityDocument, round_: int
) -> None:
    async with under_watch(cluster) as watch:
        old = await cluster.leader()
        for name in APPS:
            await restart_app(cluster, cluster.hosts[name])
        for standby in [host for host in cluster.databases if host is not old]:
            await restart_database(cluster, standby)
        new = await synchronous_standby(cluster)
        await cluster.switch_over(old, new)
        await cluster.wait_until_whole()
        await restart_database(cluster, old)
        await watch.load.wait_for_purchases(1)
    await check_reigns(cluster, watch, old, new)
    document.record(
        "several hosts: all restarted one after the other, as for a new release, with a switchover",
        cluster.deployment.responses,
        recovered=f"not needed; {lost_none_of(watch)}",
    )


async def test_a_worker_is_frozen_past_its_lease(
    cluster: Cluster, document: ReliabilityDocument, round_: int
) -> None:
    frozen, other = (cluster.hosts[name] for name in APPS)
    accounts = cluster.accounts
    async with under_watch(cluster) as watch:
        other.stop("worker")
        accounts.misbehaviours.append("park")
        await until_parked(cluster)
        frozen.signal("worker", signal.SIGSTOP)
        cluster.start_worker(other)
        await watch.load.wait_for_purchases(2)
        frozen.signal("worker", signal.SIGCONT)
        accounts.release()
        await watch.load.wait_for_purchases(1)
    assert "another worker has taken over" in frozen.log("worker").read_text()
    document.record(
        "several hosts: a worker is frozen past its lease, during a call, and goes on",
        cluster.deployment.responses,
        recovered="the other worker takes over; the frozen one notices it, and its late order "
        f"makes no second account: {len(accounts.world.accounts)} accounts, each created once",
    )


async def until_parked(cluster: Cluster) -> None:
    async for _ in polling(LAST_SECONDS):
        if cluster.accounts.parked:
            return
    raise AssertionError("no worker has sent an order")


async def other_leader(cluster: Cluster, old: Host) -> Host:
    """Return the host that has taken over."""
    async for _ in polling(LAST_SECONDS):
        if (leader := await cluster.leader()) is not old:
            return leader
    raise AssertionError(f"{old.name} still leads")


async def synchronous_standby(cluster: Cluster) -> Host:
    [name] = [one["name"] for one in await cluster.members() if one["role"] == "sync_standby"]
    return cluster.hosts[name]


async def restart_app(cluster: Cluster, host: Host) -> None:
    await asyncio.to_thread(host.stop, "web", "worker")
    cluster.start_service(host)
    await cluster.wait_for(f"http://{host.name}:4242/api/health/ready")


async def restart_database(cluster: Cluster, host: Host) -> None:
    await asyncio.to_thread(host.stop, "patroni", "etcd")
    cluster.start_database(host)
    await cluster.wait_until_whole()
