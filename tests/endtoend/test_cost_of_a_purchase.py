"""What a purchase and a renewal take: questions to Stripe, jobs, runs, transactions. Not more.

`python -m benchmarks purchase` measures the same of real processes. Webhooks come one at a time, in
Stripe's order; the bounds are what that takes.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asyncpg.connection import LoggedQuery

from mpanel_billing.database import pool as pools
from mpanel_billing.database.queries import Connection
from mpanel_billing.http import keys
from mpanel_billing.telemetry.counters import STRIPE_CALLS
from tests.inline_worker import InlineWorker
from tests.service import Service

MONTH_SECONDS = 32 * 86_400
UNREAD = [
    "charge.succeeded",
    "invoice.upcoming",
    "payment_intent.created",
    "payment_intent.succeeded",
    "payment_method.attached",
]
"""Types to which the endpoint does not subscribe."""


class Tally:
    """Counts what this process has PostgreSQL and Stripe do."""

    def __init__(self) -> None:
        self.statements: Counter[str] = Counter()

    async def listen(self, conn: Connection) -> None:
        """Count the statements of a new connection."""
        await set_up(conn)
        conn.add_query_logger(self._note)

    def _note(self, record: LoggedQuery) -> None:
        self.statements[record.query.split(maxsplit=1)[0].rstrip(";").upper()] += 1

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """Count during the block; the questions to Stripe by method."""
        found: Counter[str] = Counter()
        statements, asked = self.statements.copy(), questions()
        yield found
        ran = self.statements - statements
        found["transactions"] = ran["BEGIN"]
        found["statements"] = ran.total() - ran["BEGIN"] - ran["COMMIT"]
        found |= {f"asked {method}": n for method, n in (questions() - asked).items()}


set_up = pools.set_up_connection


def questions() -> Counter[str]:
    samples = [sample for metric in STRIPE_CALLS.collect() for sample in metric.samples]
    found: Counter[str] = Counter()
    for sample in samples:
        found[sample.labels["method"]] += int(sample.value)
    return found


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    """Counts from the first connection on: comes before the service in a test's parameters."""
    counts = Tally()
    monkeypatch.setattr(pools, "set_up_connection", counts.listen)
    return counts


@pytest.fixture
async def shop(tally: Tally, service: Service) -> Service:
    """The service, to which Stripe sends what its endpoint subscribes to."""
    await service.stripe.set_delivery(drop=UNREAD)
    return service


def order_of(name: str) -> dict[str, Any]:
    return {
        "planId": "starter",
        "billingCycle": "monthly",
        "trialActive": False,
        "addonIds": ["addon-backups-daily"],
        "customer": {"name": "Ada Lovelace", "email": f"{name}@example.com"},
        "domain": {"mode": "later", "value": ""},
    }


async def test_a_purchase(shop: Service, worker: InlineWorker, tally: Tally) -> None:
    with tally.counting() as ordered:
        order = await shop.order_elsewhere(order_of("ada"), **{"Idempotency-Key": "key-of-ada"})
        await shop.stripe.wait_idle()
    assert ordered["asked POST"] == 2, "a customer and a session"
    assert ordered["asked GET"] == 0
    assert ordered["transactions"] <= 2, "the order, and the event of its customer"
    assert ordered["statements"] <= 9

    with tally.counting() as paid:
        await shop.stripe.pay(order["url"])
        await shop.stripe.wait_idle()
    jobs = await shop.pool.fetch("SELECT entrypoint FROM pgqueuer")
    assert [job["entrypoint"] for job in jobs] == ["provision"]
    assert await shop.pool.fetchval("SELECT count(*) FROM stripe_refetches") == 0

    with tally.counting() as made:
        await worker.catch_up()
    page = await shop.client.get(f"/api/checkout/session/{order['sessionId']}?wait=5")
    assert (await page.json())["status"] == "active"
    work = await shop.row("SELECT version, done_version FROM provisioning_work")
    assert tuple(work) == (1, 1), "one run of the settled state"
    assert not {"asked GET", "asked POST"} & (paid.keys() | made.keys())
    assert paid["transactions"] <= 8, "one for each event"
    assert paid["statements"] <= 50
    assert made["statements"] <= 13, "each of them a commit"


async def test_a_renewal(shop: Service, worker: InlineWorker, tally: Tally) -> None:
    await shop.buy(order_of("ada"))
    await worker.catch_up()
    assert shop.client.app is not None
    batcher = shop.client.app[keys.EVENTS]
    before = batcher.fast_path_events
    jobs = await shop.pool.fetchval(JOBS)
    with tally.counting() as renewed:
        await shop.stripe.advance_time(await shop.stripe.now() + MONTH_SECONDS)
        await shop.stripe.wait_idle()
    assert not {"asked GET", "asked POST"} & renewed.keys()
    assert await shop.pool.fetchval(JOBS) == jobs, "nothing is to be provisioned"
    # not invoice.paid and invoice.payment_succeeded, which are of the second of invoice.finalized,
    # nor invoice_payment.paid, whose type has no fast path
    assert batcher.fast_path_events - before >= 3
    assert renewed["transactions"] <= 3
    assert renewed["statements"] <= 26


JOBS = "SELECT count(*) FROM pgqueuer"
