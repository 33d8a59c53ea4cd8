"""What a random world is played on, all real: Stripe's sandbox, the web app that gets its webhooks,
the database, the hosting service, and a worker in this process."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.messages import receivers
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.provisioning.stripe_turns import StripeTurns
from mpanel_billing.reconciliation import runs
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.reconciliation.runs import RunRequest
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from mpanel_billing.subscriptions.pauses import turn_pauses
from mpanel_billing.subscriptions.price_changes import make_price_changes
from stripe_sandbox import SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient
from stripe_sandbox.world import Dunning
from tests.provisioning.mirror_model import TYPES
from tests.provisioning.reference_server import ReferenceServer
from tests.service import FAST_RETRIES, WEBHOOK_SECRET, make_app, make_settings
from tests.worlds import clock

GRACE, RETENTION = timedelta(days=7), timedelta(days=30)
BY = Actor("cli:grace@panel")
KEY = "w" * 32
UNLIMITED = 1000.0
_MOST_ROUNDS = 30

_DUE = """
SELECT subscription_id FROM provisioning_work
WHERE (version > done_version AND attempts = 0) OR wake_at <= now()
ORDER BY updated_at
"""


@dataclass(frozen=True)
class Notice:
    """A customer was told that a price counts for them, not before a time (Unix seconds)."""

    subscription: str
    price: str
    not_before: int


@dataclass
class Commands:
    """What operators, buyers and mPanel have done, by Stripe's ids: no service tells of it.

    `domains` is what was ordered, `lost_domain_to` who had a tenant with that domain when the
    order was provisioned; `ready` are those that the worker was once done with after they were
    paid; `restored` came back after mPanel had deleted their rows. `chosen` are the prices that
    customers have agreed to, `schedules` those of planned changes; `held_from` are the ends of the
    paid terms in which a pause was asked for.
    """

    held: set[str] = field(default_factory=set)
    skipped: set[tuple[str, str]] = field(default_factory=set)
    ignored_prices: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    unanswered: dict[str, int] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    lost_domain_to: dict[str, str] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    restored: set[str] = field(default_factory=set)
    unreadable_events: int = 0
    worker_stopped_at: int | None = None
    lenient: set[str] = field(default_factory=set)
    chosen: set[tuple[str, str]] = field(default_factory=set)
    notices: list[Notice] = field(default_factory=list)
    schedules: set[str] = field(default_factory=set)
    held_from: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class Town:
    """Everything that is real, the ids of what was sold, and what was commanded."""

    client: "TestClient[Any, Any]"
    stripe: SandboxClient
    stripe_url: str
    gateway: StripeGateway
    pool: Pool
    hosting: ReferenceServer
    session: aiohttp.ClientSession
    provisioning: Provisioning
    commands: Commands = field(default_factory=Commands)
    sold: list[str] = field(default_factory=list)
    ids: dict[str, UUID] = field(default_factory=dict)

    @property
    def api(self) -> Any:
        """Stripe's API, as the Dashboard and other programs use it."""
        return self.gateway.client.v1

    @property
    def mirror(self) -> Mirror:
        return Mirror(self.pool, self.gateway, livemode=False)

    async def get_from_stripe(self, path: str, **params: str) -> list[dict[str, Any]]:
        """List everything under a path of Stripe's API, the newest first."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"limit": "100", **params}
        while True:
            url = f"{self.stripe_url}/v1/{path}"
            headers = {"Authorization": "Bearer sk_test_of_the_tests"}
            async with self.session.get(url, params=page, headers=headers) as response:
                answer = await response.json()
                assert response.status == 200, answer
            found += answer["data"]
            if not answer["has_more"]:
                return found
            page["starting_after"] = answer["data"][-1]["id"]

    async def pass_time(self, seconds: float) -> None:
        """Let time pass; a worker that runs works every other day at least, and at the end.

        Without one, what happens at Stripe is reported within a day, and some time before the end.
        """
        stopped = self.commands.worker_stopped_at is not None
        at_the_end = 1000 if stopped and seconds > 2000 else 0
        seconds -= at_the_end
        while seconds > 0:
            part = min(seconds, 86_400 if stopped else 2 * 86_400)
            await self._advance(part)
            await self.work()
            seconds -= part
        await self._advance(at_the_end)

    async def _advance(self, seconds: float) -> None:
        await clock.advance(self.pool, self.stripe, seconds)
        await self.settle()
        await self._refetch()

    async def settle(self) -> None:
        """Wait for Stripe's webhooks; note which rows are whose."""
        await self.stripe.wait_idle(30)
        rows = await self.pool.fetch(
            "SELECT id, stripe_subscription_id FROM subscriptions"
            " WHERE stripe_subscription_id IS NOT NULL"
        )
        self.ids |= {row["stripe_subscription_id"]: row["id"] for row in rows}

    async def work(self) -> None:
        """Do all work that is due; without a worker, only what the mirror needs."""
        await self.settle()
        if self.commands.worker_stopped_at is not None:
            await self._refetch()
            return
        holders = await self._holders_of_domains()
        for _ in range(_MOST_ROUNDS):
            if not await self._work_once():
                await self._note_what_was_done(holders)
                return
        raise AssertionError("the work does not end")

    async def _holders_of_domains(self) -> dict[str, UUID | None]:
        """Read from mPanel's table which subscription has a tenant with which domain."""
        rows = await self.pool.fetch("SELECT domain, billing_subscription_id FROM tenants")
        return {row["domain"]: row["billing_subscription_id"] for row in rows}

    async def _note_what_was_done(self, before: Mapping[str, UUID | None]) -> None:
        """Note who is served now, and who got another domain because theirs was taken before."""
        owners = {id_: name for name, id_ in self.ids.items()}
        served = set((await self._holders_of_domains()).values())
        for name, domain in self.commands.domains.items():
            if self.ids.get(name) in served and name not in self.commands.lost_domain_to:
                holder = before.get(domain, self.ids[name])
                if holder != self.ids[name]:
                    self.commands.lost_domain_to[name] = owners.get(holder, "") if holder else ""
                else:
                    self.commands.lost_domain_to[name] = name
        refusing = {id_ for id_, _ in self.hosting.refused}
        for invoice in await self.get_from_stripe("invoices", status="paid"):
            named = (invoice["parent"] or {}).get("subscription_details") or {}
            if (paid := named.get("subscription")) and self.ids.get(paid) not in refusing:
                self.commands.ready.add(paid)

    async def _work_once(self) -> bool:
        asked = await self._refetch()
        due = await self.pool.fetch(_DUE)
        for row in due:
            await provision_tenant_for_subscription(self.provisioning, row["subscription_id"])
        turned = await turn_pauses(self.pool, 100)
        at = datetime.fromtimestamp(await self.stripe.now(), UTC)
        changed = await make_price_changes(self.mirror, at)
        return bool(asked or due or turned or changed)

    async def _refetch(self) -> int:
        """Fetch what events could not decide; return how many objects."""
        await self.stripe.wait_idle(30)
        asked = await self.pool.fetch(
            "SELECT object_id FROM stripe_refetches ORDER BY requested_at"
        )
        for row in asked:
            await self.mirror.refetch(row["object_id"])
        return len(asked)

    async def reconcile(self) -> None:
        """Do what the worker does at night: compare with Stripe and the services, and repair."""
        await self._compare(dry_run=False)

    async def find_drift(self) -> list[Drift]:
        """Return in what our rows differ from Stripe and the services."""
        run_id = await self._compare(dry_run=True)
        return [drift async for drift in runs.list_drift(self.pool, run_id)]

    async def _compare(self, *, dry_run: bool) -> UUID:
        await self.settle()
        stripe = PacedStripe(self.gateway, Pace(UNLIMITED))
        mirror = Mirror(self.pool, stripe, livemode=False)
        context = ReconcileContext(mirror, self.provisioning.drivers, dry_run=dry_run)
        request = RunRequest("schedule", livemode=False, dry_run=dry_run)
        run_id = await runs.open_run(self.pool, request)
        assert await runs.continue_run(context, run_id)
        return run_id


@asynccontextmanager
async def open_town(
    database_url: str, sandbox_state: Path, dunning: Dunning
) -> AsyncIterator[Town]:
    """Open a world in which nothing has been sold, on a database with the movable clock."""
    config = SandboxConfig(
        retry_delays=FAST_RETRIES, state_file=sandbox_state, dunning=dunning, seed=1
    )
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(running_sandbox(config))
        hosting = await stack.enter_async_context(ReferenceServer().running())
        services = dict.fromkeys((*TYPES, "ssl", "support"), hosting.endpoint())
        settings = make_settings(
            database_url=database_url,
            stripe_api_base=sandbox.url,
            billing_api_keys=KEY,
            provisioning_services=services,
            stripe_timeout_seconds=1,
        )
        gateway = open_gateway(settings)
        stack.push_async_callback(gateway.close)
        pool = await stack.enter_async_context(await create_pool(settings))
        await receivers.add(
            pool, BY, name="panel", url="http://127.0.0.1:9/", types=("price.*",), livemode=False
        )
        drivers = await stack.enter_async_context(open_drivers(settings))
        client = await stack.enter_async_context(TestClient(TestServer(make_app(settings))))
        sandbox.add_webhook(str(client.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
        yield Town(
            client,
            await stack.enter_async_context(SandboxClient(sandbox.url)),
            sandbox.url,
            gateway,
            pool,
            hosting,
            await stack.enter_async_context(aiohttp.ClientSession()),
            Provisioning(
                pool,
                gateway,
                drivers,
                Policy(GRACE, RETENTION),
                "panel.test",
                livemode=False,
                stripe_turns=_unlimited_turns(),
            ),
        )


def _unlimited_turns() -> StripeTurns:
    turns = StripeTurns()
    turns.pace = Pace(UNLIMITED)
    return turns


def prices_by_key(prices: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the ids of prices by their lookup keys."""
    return {price["lookup_key"]: price["id"] for price in prices if price["lookup_key"]}
