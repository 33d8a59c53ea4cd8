"""The service on six hosts, with the configuration of deploy/ha.

db1 to db3 have etcd, Patroni and PostgreSQL; app1 and app2 web, worker, HAProxy and PgBouncer;
edge has the HAProxy of the web processes, and, as the outside world, Stripe and the accounts.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.connecting import connect
from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.pool import create_pool
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import open_gateway
from stripe_sandbox.client import SandboxClient
from tests.faults.deployment import STRIPE, Deployment
from tests.ha.hosts import PASSWORD, Host, running_hosts
from tests.ha.probes import TABLE
from tests.processes import SERVICE, service_environment
from tests.provisioning.reference_server import ReferenceServer
from tests.service import make_settings

DATABASES = ("db1", "db2", "db3")
APPS = ("app1", "app2")
STRIPE_PORT = 12111
WEB_PORT = 8080
_LOOK_SECONDS = 0.3
_UNHURRIED = aiohttp.ClientTimeout(total=40)
_NEW_LEADER = 4
"""Its place in an entry of Patroni's history."""
_PRODUCT_TYPES = ("hosting", "email", "storage", "backup")

Member = Mapping[str, Any]


@dataclass
class Cluster:
    """All hosts, the service as clients see it, and the accounts that it makes."""

    hosts: Mapping[str, Host]
    folder: Path
    http: aiohttp.ClientSession
    accounts: ReferenceServer
    deployment: Deployment

    @property
    def databases(self) -> list[Host]:
        return [self.hosts[name] for name in DATABASES]

    async def members(self) -> Sequence[Member]:
        """Return what Patroni says of its members; nothing if none can be asked."""
        for name in DATABASES:
            found = await self._get(f"http://{name}:8008/cluster")
            if found:
                members: Sequence[Member] = found["members"]
                return members
        return []

    async def leader(self) -> Host:
        """Return the host whose PostgreSQL is the primary, once there is one."""
        while True:
            for name in DATABASES:
                if await self._get(f"http://{name}:8008/primary"):
                    return self.hosts[name]
            await asyncio.sleep(_LOOK_SECONDS)

    async def history(self) -> list[str]:
        """Return the leader of each timeline after the first, in order."""
        found = await self._get(f"http://{(await self.leader()).name}:8008/history")
        return [entry[_NEW_LEADER] for entry in found or [] if len(entry) > _NEW_LEADER]

    async def wait_until_whole(self, seconds: float = 90) -> None:
        """Wait until there are a leader, a synchronous standby and another, all up to date."""
        async with asyncio.timeout(seconds):
            # without etcd, Patroni repeats what it knew last: each has to respond itself
            for name in DATABASES:
                await self.wait_for(f"http://{name}:8008/health", seconds)
            while not _are_whole(await self.members()):  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(_LOOK_SECONDS)

    async def connect_to_leader(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await connect(superuser_url())

    async def etcd_leader(self) -> Host:
        for name in DATABASES:
            url = f"http://{name}:2379/v3/maintenance/status"
            async with self.http.post(url, data="{}") as response:
                status = json.loads(await response.text())
            if status["leader"] == status["header"]["member_id"]:
                return self.hosts[name]
        raise AssertionError("etcd has no leader")

    async def wait_for(self, url: str, seconds: float = 60) -> None:
        """Wait until an address returns 200."""
        async with asyncio.timeout(seconds):
            while await self._get(url) is None:  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(_LOOK_SECONDS)

    async def _get(self, url: str) -> Any:
        """Return the body; None if it is not 200."""
        try:
            async with self.http.get(url) as response:
                body = await response.text()
                return json.loads(body or "{}") if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    def start_database(self, host: Host) -> None:
        """Start etcd and Patroni, which starts PostgreSQL."""
        self.start_etcd(host)
        self.start_patroni(host)

    def start_etcd(self, host: Host) -> None:
        host.start("etcd", "etcd", environment=host.variables("etcd.env"))

    def start_patroni(self, host: Host) -> None:
        host.start(
            "patroni",
            self.folder / "patroni" / "bin" / "patroni",
            host.configuration("patroni.yml"),
            environment={"PATRONI_POSTGRESQL_BIN_DIR": str(_bin_dir(self.folder))},
        )

    async def switch_over(self, from_: Host, to: Host) -> None:
        """Make another host the leader, as before work on the present one."""
        body = {"leader": from_.name, "candidate": to.name}
        account = {"Authorization": aiohttp.encode_basic_auth("patroni", PASSWORD)}
        url = f"http://{from_.name}:8008/switchover"
        async with self.http.post(url, json=body, headers=account, timeout=_UNHURRIED) as response:
            assert response.status == 200, await response.text()

    def start_app(self, host: Host) -> None:
        """Start HAProxy, PgBouncer, web and worker."""
        host.configuration("userlist.txt")
        host.start("haproxy", "haproxy", "-db", "-f", host.configuration("haproxy-database.cfg"))
        host.start("pgbouncer", "pgbouncer", host.configuration("pgbouncer.ini"))
        self.start_service(host)

    def start_service(self, host: Host) -> None:
        self.start_worker(host)
        host.start("web", *SERVICE, "serve", environment=self._settings(host), as_root=True)

    def start_worker(self, host: Host) -> None:
        host.start("worker", *SERVICE, "worker", environment=self._settings(host), as_root=True)

    def _settings(self, host: Host) -> dict[str, str]:
        url = self.accounts.url.replace("0.0.0.0", "edge")
        services = {name: self.accounts.endpoint(url=url) for name in _PRODUCT_TYPES}
        return {
            **service_environment("", f"http://edge:{STRIPE_PORT}"),
            **host.variables("service.env"),
            "TRUSTED_PROXIES": "10.77.0.0/24",
            "RATE_LIMIT_ORDERS": "off",
            "RATE_LIMIT_LOOKUPS": "off",
            "PROVISIONING_SERVICES": json.dumps(services),
        }


def superuser_url(database: str = "postgres") -> str:
    return (
        f"postgresql://postgres:{PASSWORD}@db1,db2,db3/{database}"
        "?sslmode=disable&target_session_attrs=read-write"
    )


@asynccontextmanager
async def open_cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Start everything, and put the catalogue on sale."""
    async with AsyncExitStack() as stack:
        hosts = stack.enter_context(running_hosts(folder))
        timeout = aiohttp.ClientTimeout(total=2)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        accounts = await stack.enter_async_context(ReferenceServer().running("0.0.0.0"))
        cluster = Cluster(hosts, folder, http, accounts, deployment=None)  # type: ignore[arg-type]
        for host in cluster.databases:
            cluster.start_database(host)
        await cluster.wait_until_whole()
        await _create_databases(cluster)
        cluster.deployment = await _open_deployment(cluster, stack)
        for name in APPS:
            cluster.start_app(hosts[name])
        edge = hosts["edge"]
        edge.start("haproxy", "haproxy", "-db", "-f", edge.configuration("haproxy-web.cfg"))
        for name in APPS:
            await cluster.wait_for(f"http://{name}:4242/api/health/ready")
        await cluster.wait_for(f"http://edge:{WEB_PORT}/api/health/ready")
        yield cluster


async def _create_databases(cluster: Cluster) -> None:
    conn = await cluster.connect_to_leader()
    await conn.execute(TABLE)
    await conn.execute(f"CREATE ROLE billing LOGIN PASSWORD '{PASSWORD}'")
    await conn.execute("CREATE DATABASE billing OWNER billing")
    await conn.close()


async def _open_deployment(cluster: Cluster, stack: AsyncExitStack) -> Deployment:
    edge = cluster.hosts["edge"]
    stripe_url = f"http://edge:{STRIPE_PORT}"
    webhooks = f"http://edge:{WEB_PORT}/api/webhooks/stripe"
    edge.start("stripe", sys.executable, *STRIPE, STRIPE_PORT, webhooks, "0.0.0.0", as_root=True)
    await cluster.wait_for(f"{stripe_url}/_sandbox/clock")
    url = cluster.hosts["app1"].variables("service.env")["DATABASE_DIRECT_URL"]
    await migrate(url)
    settings = make_settings(database_url=url, stripe_api_base=stripe_url)
    pool = await stack.enter_async_context(await create_pool(settings))
    gateway = open_gateway(settings)
    stack.push_async_callback(gateway.close)
    await apply_catalogue(pool, read_catalogue_file(DEFAULT_CATALOGUE))
    await push_catalogue(pool, StripeCatalogue(gateway.client), livemode=False)
    browser = aiohttp.ClientSession(timeout=_UNHURRIED)
    return Deployment(
        {"DATABASE_URL": url},
        pool,
        await stack.enter_async_context(SandboxClient(stripe_url)),
        stripe_url,
        gateway.client,
        await stack.enter_async_context(browser),
        WEB_PORT,
        stack,
    )


def _are_whole(members: Sequence[Member]) -> bool:
    roles = sorted(member["role"] for member in members)
    return roles == ["leader", "replica", "sync_standby"] and all(
        member["state"] == ("running" if member["role"] == "leader" else "streaming")
        and member.get("lag", 0) in {0, "0"}
        for member in members
    )


def _bin_dir(folder: Path) -> Path:
    return EmbeddedPostgres(folder / "unused").bin_dir
