"""What the model is compared with, all real: database, an HTTP service, workers, one clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self
from uuid import UUID

import aiohttp
from aiohttp.test_utils import TestServer

from mpanel_billing.database.pool import Pool, acquired, create_pool
from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.provisioning.drivers.signed_client import SIGNATURE_HEADER, sign
from mpanel_billing.provisioning.lease import LeaseBusyError, LeaseLostError
from mpanel_billing.provisioning.repository.runs import list_due_work
from mpanel_billing.subscriptions.pauses import turn_pauses
from tests import stripe_objects as made
from tests.convergence.stripe_stub import create_stripe_stub
from tests.inbox import Inbox
from tests.provisioning.bulk_sales import open_shop
from tests.provisioning.latest_stripe import LatestStripe
from tests.provisioning.mirror_model import TERM, TYPES, Bought
from tests.provisioning.reference_server import SECRET, TOKEN, ReferenceServer
from tests.provisioning.world import HostedAccount, World
from tests.service import make_settings
from tests.stripe_objects import credit_note, dispute

GRACE = timedelta(days=7)
RETENTION = timedelta(days=30)
IDS = ("sub_1", "sub_2", "sub_3")
PRICE = 799
"""What each invoice is about."""

DisputePolicy = Literal["flag", "suspend", "cancel"]

_ANSWER_SECONDS = 0.4
"""How long an impatient worker waits for an answer."""

_LONGEST_RETRY = timedelta(minutes=80)
"""The longest that a failed or killed run lets its subscription wait; a rest is awaited so long."""

_MOST_ROUNDS = 200
_CLEAN = """
DELETE FROM pgqueuer;
DELETE FROM stripe_refetches;
DELETE FROM stripe_events;
DELETE FROM invoices;
DELETE FROM invoice_payments;
DELETE FROM stripe_refunds;
DELETE FROM stripe_credit_notes;
DELETE FROM stripe_disputes;
UPDATE subscriptions SET tenant_id = NULL;
DELETE FROM tenants;
DELETE FROM subscriptions;
DELETE FROM billing_deleted_subscriptions;
DELETE FROM billing_domains;
"""


class ManualClock:
    """A clock that only moves when set."""

    def __init__(self) -> None:
        self._moment = datetime.now(UTC)

    @property
    def moment(self) -> datetime:
        """What time it is; may be set, but never back."""
        return self._moment

    @moment.setter
    def moment(self, moment: datetime) -> None:
        self._moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, by: timedelta) -> None:
        self.moment += by


class Worker:
    """A worker without its process: it has its own connections, and can die like a process.

    `kill_after` counts what it does (statements, orders): at the last of them its connections are
    cut, and whatever it still tries has no effect.
    """

    def __init__(self, harness: "Harness", *, patient: bool = False) -> None:
        self._harness = harness
        self._patient = patient
        self._exits = AsyncExitStack()
        self._lives: int | None = None
        self._run: asyncio.Task[None] | None = None
        self.dead = False

    async def __aenter__(self) -> Self:
        harness = self._harness
        settings = make_settings(
            database_url=harness.database_url,
            database_pool_min=2,
            database_pool_max=2,
            provisioning_services=harness.services(60 if self._patient else _ANSWER_SECONDS),
        )
        self._pool = await create_pool(settings)
        drivers = await self._exits.enter_async_context(open_drivers(settings))
        self._provisioning = replace(harness.provisioning, pool=self._pool, drivers=drivers)
        connections = [await self._pool.acquire() for _ in range(2)]
        for connection in connections:
            connection.add_query_logger(lambda _: self.hurt())
            await self._pool.release(connection)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Close all that it has, without a word to anybody."""
        self._pool.terminate()
        await self._exits.aclose()

    async def run(self, subscription_id: UUID, kill_after: int | None = None) -> None:
        """Do the job for a subscription, as far as this worker lives."""
        self._lives = kill_after
        self._run = asyncio.create_task(self._job(subscription_id))
        [ended] = await asyncio.gather(self._run, return_exceptions=True)
        self._lives = None
        if isinstance(ended, BaseException) and not self.dead:
            raise ended

    async def _job(self, subscription_id: UUID) -> None:
        with suppress(LeaseBusyError, LeaseLostError):
            await provision_tenant_for_subscription(self._provisioning, subscription_id)

    def hurt(self) -> None:
        """Count one thing that it has done; die of the last."""
        if self._lives is None or self.dead or self._run is None:
            return
        self._lives -= 1
        if self._lives <= 0:
            self.dead = True
            self._pool.terminate()
            self._run.cancel()


@dataclass
class Harness:
    """Everything that is real, and the subscriptions that are played on it."""

    database_url: str
    pool: Pool
    server: ReferenceServer
    session: aiohttp.ClientSession
    provisioning: Provisioning
    clock: ManualClock
    stripe: LatestStripe
    bought: dict[str, Bought] = field(default_factory=dict)
    dispute_policy: DisputePolicy = "flag"

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.pool)

    def services(self, timeout_seconds: float) -> dict[str, Any]:
        """Return PROVISIONING_SERVICES: all types at the server."""
        endpoint = self.server.endpoint(timeout_seconds=timeout_seconds)
        return dict.fromkeys(TYPES, endpoint)

    async def clean(self) -> None:
        """Begin with nothing sold, now."""
        await self.pool.execute(_CLEAN)
        self.clock.moment = datetime.now(UTC)
        self.server.start_anew(World(clock=self.clock))
        self.stripe.restart()
        self.bought.clear()

    def set_policy(self, *, suspend_paused_collection: bool, disputes: DisputePolicy) -> None:
        """Choose what a paused collection does, and a dispute."""
        policy = Policy(
            GRACE,
            RETENTION,
            suspend_paused_collection,
            suspend_disputed=disputes == "suspend",
        )
        self.provisioning = replace(self.provisioning, policy=policy)
        self.dispute_policy = disputes

    def sold(self, plan: str) -> Bought:
        """Return what the model knows of a new sale: its first term begins now."""
        start = self.clock().replace(microsecond=0)
        policy = self.provisioning.policy
        return Bought(
            plan,
            term_start=start,
            term_end=start + TERM,
            pause_suspends=policy.suspend_paused_collection,
            dispute_suspends=policy.suspend_disputed,
        )

    def note_end(self, id_: str) -> None:
        """Note in the model that a subscription has ended at Stripe."""
        bought = self.bought[id_]
        bought.status = str(self.stripe.objects[id_]["status"])
        bought.ended_at = datetime.fromtimestamp(self.stripe.objects[id_]["ended_at"], UTC)
        bought.payable = list(bought.debts)

    async def deliver_subscription(self, id_: str, **more: Any) -> None:
        """Deliver an event about a subscription as it is now."""
        bought = self.bought[id_]
        ended = None if bought.ended_at is None else int(bought.ended_at.timestamp())
        paused = {"behavior": "void"} if bought.collection_paused else None
        stripe_object = made.subscription(
            id_,
            status=bought.status,
            customer=customer_of(id_),
            items=_items(id_, bought),
            pause_collection=paused,
            schedule=f"sub_sched_{id_}" if bought.planned else None,
            ended_at=ended,
            canceled_at=ended,
            metadata={"subscriptionId": str(bought.revives)} if bought.revives else {},
            **more,
        )
        self.stripe.objects[id_] = stripe_object
        type_ = f"customer.subscription.{'deleted' if ended else 'updated'}"
        await self.inbox.deliver(type_, stripe_object, created=self.stripe.next_second())

    async def deliver_invoice(
        self,
        id_: str,
        created: datetime,
        status: str,
        *,
        total: int = PRICE,
        paid_at: int | None = None,
    ) -> str:
        """Deliver an event about an invoice of a subscription; an open one could not be charged.

        Return its id.
        """
        second = int(created.timestamp())
        stripe_object = made.invoice(
            f"in_{second}_{id_}",
            subscription=id_,
            customer=customer_of(id_),
            status=status,
            total=total,
            created=second,
            attempt_count=1,
            billing_reason="subscription_cycle",
            status_transitions={
                "finalized_at": second,
                "paid_at": paid_at or second if status == "paid" else None,
            },
        )
        self.stripe.objects[stripe_object["id"]] = stripe_object
        type_ = "invoice.paid" if status == "paid" else "invoice.updated"
        await self.inbox.deliver(type_, stripe_object, created=self.stripe.next_second())
        return str(stripe_object["id"])

    async def deliver_own_invoice(self, id_: str, invoice_id: str) -> None:
        """Deliver the event that an invoice of no subscription was paid."""
        second = self.stripe.next_second()
        paid = made.invoice(
            invoice_id,
            subscription=None,
            customer=customer_of(id_),
            status="paid",
            total=PRICE,
            created=second,
            billing_reason="manual",
            status_transitions={"finalized_at": second, "paid_at": second},
        )
        self.stripe.objects[invoice_id] = paid
        await self.inbox.deliver("invoice.paid", paid, created=second)

    async def deliver_payment(self, invoice_id: str) -> None:
        """Deliver the event of the payment of an invoice."""
        number = invoice_id.removeprefix("in_")
        payment = made.invoice_payment(
            f"inpay_{number}", invoice=invoice_id, payment_intent=f"pi_{number}"
        )
        created = self.stripe.next_second()
        await self.inbox.deliver("invoice_payment.paid", payment, created=created)

    async def deliver_refund(self, invoice_id: str, amount: int) -> None:
        """Deliver the event of a refund of the payment of an invoice."""
        number, created = invoice_id.removeprefix("in_"), self.stripe.next_second()
        refund = made.refund(
            f"re_{number}_{created}", payment_intent=f"pi_{number}", amount=amount, created=created
        )
        await self.inbox.deliver("refund.created", refund, created=created)

    async def deliver_credit_note(self, invoice_id: str, amount: int, *, out_of_band: bool) -> None:
        """Deliver the event of a note: to the balance, or of what was given back by hand."""
        created = self.stripe.next_second()
        note = credit_note(
            f"cn_{created}_{invoice_id}",
            invoice_id,
            total=amount,
            post_payment_amount=amount,
            out_of_band_amount=amount if out_of_band else 0,
            created=created,
        )
        await self.inbox.deliver("credit_note.created", note, created=created)

    async def deliver_dispute(self, dispute_id: str, invoice_id: str, status: str) -> None:
        """Deliver an event about a dispute of the payment of an invoice."""
        created, intent = self.stripe.next_second(), f"pi_{invoice_id.removeprefix('in_')}"
        stripe_object = dispute(dispute_id, intent, status=status, created=created)
        await self.inbox.deliver("charge.dispute.updated", stripe_object, created=created)

    async def id_of(self, id_: str) -> UUID:
        subscription_id: UUID = (await self.inbox.subscription(id_))["id"]
        return subscription_id

    async def register(self, id_: str, *, vouched: bool) -> None:
        """Note what was ordered: the customer's domain; and for whom the service works.

        The first order of a customer has a further name, which somebody else gets meanwhile.
        """
        subscription = await self.id_of(id_)
        self.server.owners[subscription] = customer_of(id_)
        further = [lost_name_of(id_)] if len(self.line(id_)) == 1 else []
        for name in further:
            await self.pool.execute("INSERT INTO tenants (name, domain) VALUES ('Eve', $1)", name)
        await self.pool.execute(
            "UPDATE subscriptions SET metadata = $2 WHERE id = $1",
            subscription,
            {
                "domainMode": "register",
                "domainValue": domain_of(id_),
                "furtherDomains": further,
            },
        )
        await self.pool.execute(
            "INSERT INTO orders (subscription_id, customer_id, fingerprint, vouched)"
            " SELECT id, customer_id, convert_to(id::text, 'UTF8'), $2 FROM subscriptions"
            " WHERE id = $1",
            subscription,
            vouched,
        )

    def line(self, id_: str) -> list[str]:
        """Return the subscriptions of the customer of this one, the latest last."""
        return [other for other in self.bought if customer_of(other) == customer_of(id_)]

    async def owners(self) -> dict[tuple[UUID, str], str]:
        """Return which subscription has each account, by what it was created for and its type."""
        rows = await self.pool.fetch(
            "SELECT coalesce(v.account_id, v.subscription_id) AS made_for, v.product_type,"
            " s.stripe_subscription_id FROM tenant_services AS v"
            " JOIN subscriptions AS s ON s.id = v.subscription_id"
        )
        return {(r["made_for"], r["product_type"]): r["stripe_subscription_id"] for r in rows}

    async def made_for(self, id_: str, product_type: str) -> UUID:
        """Return the subscription under whose id the service has an account of this one."""
        account_id: UUID | None = await self.pool.fetchval(
            "SELECT v.account_id FROM tenant_services AS v JOIN subscriptions AS s"
            " ON s.id = v.subscription_id"
            " WHERE s.stripe_subscription_id = $1 AND v.product_type = $2",
            id_,
            product_type,
        )
        return account_id or await self.id_of(id_)

    async def next_job(self) -> UUID | None:
        """Return the subscription that has waited longest for a worker, if any can have it."""
        waiting: UUID | None = await self.pool.fetchval(
            "SELECT subscription_id FROM provisioning_work "
            "WHERE (version > done_version OR wake_at <= $1) "
            "AND (leased_until IS NULL OR leased_until < $1) ORDER BY updated_at LIMIT 1",
            self.clock(),
        )
        return waiting

    async def work_until_rest(self) -> None:
        """Do what is due by the rows alone, without any trigger, until only far moments are left.

        The clock moves on to the next retry; what waits longer than any retry is no retry.
        """
        self.server.release()
        await turn_pauses(self.pool, _MOST_ROUNDS)
        async with Worker(self) as worker:
            for _ in range(_MOST_ROUNDS):
                async with acquired(self.pool) as conn:
                    due = await list_due_work(conn, 100, self.clock())
                for subscription_id, _version in due:
                    await worker.run(subscription_id)
                if not due and not await self.move_on():
                    return
        raise AssertionError("it does not come to rest", await self._restless())

    async def _restless(self) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT to_jsonb(w) || jsonb_build_object('services', (SELECT jsonb_agg(to_jsonb(s)) "
            "FROM tenant_services AS s WHERE s.subscription_id = w.subscription_id)) AS work "
            "FROM provisioning_work AS w WHERE w.wake_at <= $1",
            self.clock(),
        )
        return [row["work"] for row in rows]

    async def move_on(self) -> bool:
        """Go to the next moment at which something is due; False when none is near."""
        wake_at = await self.pool.fetchval(
            "SELECT min(greatest(wake_at, leased_until + interval '1 second')) "
            "FROM provisioning_work"
        )
        if wake_at is None or wake_at > self.clock() + _LONGEST_RETRY:
            return False
        self.clock.moment = max(self.clock(), wake_at)
        return True

    async def account(self, id_: str, product_type: str) -> dict[str, Any] | None:
        """Ask the service for an account, over HTTP."""
        made_for = await self.made_for(id_, product_type)
        if (await self.owners()).get((made_for, product_type), id_) != id_:
            return None
        url = f"{self.server.url}/accounts/{product_type}/{made_for}"
        path = url.removeprefix(self.server.url.removesuffix("/v1"))
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            SIGNATURE_HEADER: sign(SECRET, int(time.time()), "GET", path, b""),
        }
        async with self.session.get(url, headers=headers) as response:
            if response.status == 404:
                return None
            assert response.status == 200
            content: dict[str, Any] = await response.json()
            return content

    def accounts_made(self) -> list[HostedAccount]:
        """Return every account that there is or ever was."""
        return [*self.server.world.accounts, *self.server.world.terminated]


def domain_of(id_: str) -> str:
    """Return the domain of the customer of a subscription."""
    return f"{customer_of(id_).replace('_', '-')}.example"


def lost_name_of(id_: str) -> str:
    """Return the further name of an order, which it does not get."""
    return f"lost-{customer_of(id_).replace('_', '-')}.com"


def chosen_name_of(id_: str) -> str:
    """Return the name that the customer chooses in its place."""
    return f"chosen-{customer_of(id_).replace('_', '-')}.com"


def customer_of(id_: str) -> str:
    """Return the customer of a subscription: of sub_1, and of sub_1_2, which came after it."""
    return f"cus_{id_.split('_')[1]}"


def _items(id_: str, bought: Bought) -> list[dict[str, Any]]:
    """Return its items; a negotiated price is only known by its product."""
    price = "price_negotiated_{}" if bought.negotiated else "price_{}_monthly_usd"
    codes = {bought.plan: 1, **bought.addons}
    items = [_item(id_, code, price.format(code), n) for code, n in sorted(codes.items()) if n]
    if bought.has_unknown_item:
        items.append(_item(id_, "unknown", "price_unknown", 1))
    term = {
        "current_period_start": int(bought.term_start.timestamp()),
        "current_period_end": int(bought.term_end.timestamp()),
    }
    return [item | term for item in items]


def _item(id_: str, code: str, price: str, quantity: int) -> dict[str, Any]:
    subscription = made.subscription(id_, price=price, quantity=quantity)
    [item] = subscription["items"]["data"]
    priced = {**item["price"], "product": f"prod_{code}"}
    return {**item, "id": f"si_{code}_{id_}", "price": priced}


@asynccontextmanager
async def open_harness(
    database_url: str, clock: ManualClock | None = None
) -> AsyncIterator[Harness]:
    """Open the harness on a migrated database."""
    settings = make_settings(database_url=database_url, stripe_api_base="http://127.0.0.1:1")
    clock = clock or ManualClock()
    objects: dict[str, Mapping[str, Any]] = {}
    async with (
        TestServer(create_stripe_stub(objects, clock)) as stub,
        LatestStripe(clock, str(stub.make_url("/")), objects) as stripe,
        await create_pool(settings) as pool,
        ReferenceServer().running() as server,
        aiohttp.ClientSession() as session,
        open_drivers(settings) as drivers,
    ):
        await open_shop(pool, len(IDS))
        provisioning = Provisioning(
            pool,
            stripe,
            drivers,
            Policy(GRACE, RETENTION),
            "panel.test",
            livemode=False,
            clock=clock,
        )
        yield Harness(database_url, pool, server, session, provisioning, clock, stripe)
        server.release()
