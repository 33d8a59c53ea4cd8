"""What has been erased stays erased: late events, replay, reconcile and a restored backup."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.privacy import ledger
from mpanel_billing.privacy.erasure import delete_at_stripe, erase, reapply_ledger
from mpanel_billing.privacy.ledger import UnreadableLedgerError
from mpanel_billing.privacy.repository import Who
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.runs import mark_restored
from mpanel_billing.settings import DatabaseSettings
from mpanel_billing.webhooks.event import Event, Selection, parse_event
from mpanel_billing.webhooks.fast_path import receive_on_fast_path
from mpanel_billing.webhooks.jsonb import Body
from mpanel_billing.webhooks.prepared import prepare_event
from mpanel_billing.webhooks.replaying import replay_failed_events, replay_ignored_events
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.privacy.conftest import BY, EMAIL, NEEDLES, Past, leave, places_of
from tests.reconciliation.conftest import Reconciler
from tests.waiting import until_blocking

LONG_AGO = 1_790_000_000


def soon() -> int:
    """Return a second after everything that has happened at Stripe."""
    return int(time.time()) + 3600


@pytest.fixture
async def erased(past: Past) -> Past:
    await erase(past.pool, Who(email=EMAIL), None, BY)
    return past


def reconciler(past: Past, pool: Pool | None = None) -> Reconciler:
    mirror = Mirror(pool or past.pool, past.worker.gateway, livemode=False)
    context = ReconcileContext(mirror, past.worker.provisioning.drivers)
    return Reconciler(replace(past.service, pool=mirror.pool), context)


def about_ada(past: Past) -> dict[str, Any]:
    return {
        "id": past.stripe_customer_id,
        "object": "customer",
        "created": LONG_AGO,
        "email": EMAIL,
        "name": "Ada Qxlovelace",
        "address": {"line1": "12 Qxjames Square"},
    }


def late(past: Past) -> Mapping[str, Mapping[str, Any]]:
    """Events of every kind that name an erased customer, or only their address."""
    name, details = "Ada Qxlovelace", {"email": EMAIL, "name": "Ada Qxlovelace"}
    by_id = {"customer": past.stripe_customer_id}
    return {
        "customer.updated": about_ada(past),
        "customer.deleted": about_ada(past),
        "customer.created": about_ada(past) | {"id": "cus_unknown_here"},
        "invoice.paid": made.invoice("in_late")
        | by_id
        | {"customer_email": EMAIL, "customer_name": name},
        "customer.subscription.deleted": made.subscription("sub_late")
        | by_id
        | {"description": name},
        "charge.succeeded": {"id": "ch_1", "object": "charge", "billing_details": details} | by_id,
        "payment_method.attached": {
            "id": "pm_1",
            "object": "payment_method",
            "billing_details": details,
            "customer": about_ada(past),
        },
        "checkout.session.expired": {
            "id": "cs_1",
            "object": "checkout.session",
            "created": LONG_AGO,
            "customer": None,
            "customer_details": details,
        },
    }


@pytest.mark.parametrize("kind", ["applied", "failed"])
async def test_a_late_event_does_not_bring_anything_back(erased: Past, kind: str) -> None:
    inbox = Inbox(erased.pool)
    if kind == "failed":
        await erased.pool.execute("ALTER TABLE stripe_customers ADD CHECK (NOT deleted)")
    for type_, about in late(erased).items():
        await inbox.deliver(type_, about, created=soon())
    kept = await erased.pool.fetch("SELECT type, status, payload FROM stripe_events")
    assert set(late(erased)) <= {row["type"] for row in kept}
    assert await erased.places() == []
    for replayed in (
        replay_failed_events(inbox.mirror, by=BY),
        replay_ignored_events(inbox.mirror, Selection("charge.succeeded", None), by=BY),
    ):
        assert [id_ async for id_, _ in replayed] == []
    assert await erased.places() == []
    assert await erased.pool.fetchval(
        "SELECT count(*) FROM invoices WHERE stripe_invoice_id = 'in_late'"
    )


async def test_an_event_that_waits_for_the_erasure_is_kept_without_its_payload(past: Past) -> None:
    """Its statement began before: it must not see the database as it was then."""
    inbox = Inbox(past.pool)
    async with past.pool.acquire() as conn, conn.transaction():
        key = f"cus:{past.stripe_customer_id}"
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)
        waiting = asyncio.create_task(inbox.deliver("customer.updated", about_ada(past)))
        await until_blocking(conn, past.pool)
        await past.pool.execute(
            "INSERT INTO billing_erasures VALUES ($1, 'stripe_customer', 'request')",
            past.stripe_customer_id,
        )
    await waiting
    row = await past.row(
        "SELECT payload FROM stripe_events WHERE id LIKE 'evt_%' "
        "AND object_id = $1 ORDER BY received_at DESC LIMIT 1",
        past.stripe_customer_id,
    )
    assert row["payload"] is None


async def test_the_fast_path_keeps_no_payload_of_erased_customers(inbox: Inbox) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    await inbox.deliver("invoice.paid", made.invoice("in_1"))
    told = [
        made.event("customer.subscription.updated", made.subscription(), created=LONG_AGO + 60),
        made.event("invoice.paid", made.invoice("in_2"), created=LONG_AGO + 60),
    ]
    events = [parse_event(Body.of(event), livemode=False) for event in told]
    await inbox.pool.execute(
        "INSERT INTO billing_erasures VALUES ('cus_1', 'stripe_customer', 'request')"
    )
    ids = {event.id for event in events}
    assert await received_on_fast_path(inbox, events) == ids
    payloads = "SELECT count(payload) FROM stripe_events WHERE id = ANY($1)"
    assert await inbox.pool.fetchval(payloads, ids) == 0


@pytest.mark.parametrize(
    "identifier", ["'cus_1'", "billing_email_hash_v1('ADA@example.com')"], ids=["id", "address"]
)
async def test_the_fast_path_leaves_erased_customers_to_the_full_path(
    inbox: Inbox, identifier: str
) -> None:
    about = {"id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada"}
    payload = made.event("customer.updated", about, created=LONG_AGO)
    event = parse_event(Body.of(payload), livemode=False)
    await inbox.pool.execute(
        f"INSERT INTO billing_erasures VALUES ({identifier}, 'stripe_customer', 'request')"
    )
    assert await received_on_fast_path(inbox, [event]) == set()
    assert await inbox.pool.fetchval("SELECT count(*) FROM stripe_customers") == 0


async def received_on_fast_path(inbox: Inbox, events: Sequence[Event]) -> set[str]:
    ready = [event for event in map(prepare_event, events) if event]
    async with inbox.pool.acquire() as conn:
        return set((await receive_on_fast_path(conn, ready)).outcomes)


async def test_unfinished_events_are_replaced_by_a_refetch(past: Past) -> None:
    inbox = Inbox(past.pool)
    await past.pool.execute("ALTER TABLE stripe_customers ADD CONSTRAINT fault CHECK (name <> 'X')")
    about = about_ada(past) | {"name": "X"}
    assert await inbox.deliver("customer.updated", about, created=soon()) == "failed"
    await erase(past.pool, Who(email=EMAIL), None, BY)
    row = await past.row("SELECT * FROM stripe_events WHERE reason LIKE '%erased customer%'")
    assert (row["status"], row["payload"], row["last_error"]) == ("ignored", None, None)
    request = await past.row("SELECT object_id FROM stripe_refetches")
    assert request["object_id"] == past.stripe_customer_id
    await past.worker.catch_up()
    assert await past.places() == []


async def test_reconcile_brings_nothing_back_and_reports_no_drift(erased: Past) -> None:
    at_stripe = await erased.worker.gateway.client.v1.customers.retrieve_async(
        erased.stripe_customer_id
    )
    assert at_stripe.email == EMAIL
    result = await reconciler(erased).run()
    assert result.figures["outcome"] == "clean", result.drift
    await Mirror(erased.pool, erased.worker.gateway, livemode=False).refresh(
        "customer", erased.stripe_customer_id
    )
    assert await erased.places() == []


async def test_at_stripe_the_customers_are_deleted_and_twice_does_no_harm(erased: Past) -> None:
    ids = [erased.stripe_customer_id]
    for _ in range(2):
        await delete_at_stripe(erased.pool, erased.worker.gateway, ids, BY)
        await erased.service.stripe.wait_idle()
    row = await erased.row("SELECT deleted, email FROM stripe_customers")
    assert (row["deleted"], row["email"]) == (True, None)
    assert (await reconciler(erased).run()).figures["outcome"] == "clean"
    assert await erased.places() == []


@dataclass(frozen=True)
class Backup:
    """Backs a database up, and restores it as another one."""

    postgres: EmbeddedPostgres
    folder: Path

    async def back_up(self, url: str) -> None:
        await self._run("pg_dump", "--format=custom", f"--file={self.folder / 'dump'}", url)

    async def restore(self, url: str) -> None:
        await self._run(
            "pg_restore", "--exit-on-error", f"--dbname={url}", str(self.folder / "dump")
        )

    async def _run(self, tool: str, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(self.postgres.bin_dir / tool, *words)
        assert await process.wait() == 0


@pytest.mark.parametrize("at_stripe", [False, True])
async def test_a_restored_backup_brings_nothing_back(
    living: Past,
    postgres: EmbeddedPostgres,
    empty_database_url: str,
    tmp_path: Path,
    *,
    at_stripe: bool,
) -> None:
    """The backup is of the time when she was a customer; all later is lost but the ledger."""
    backup, file = Backup(postgres, tmp_path), tmp_path / "erasures.jsonl"
    await backup.back_up(living.service.settings.direct_url)
    await leave(living.service, living.worker, living.subscription_id)
    await erase(living.pool, Who(email=EMAIL), file, BY)
    if at_stripe:
        ids = [living.stripe_customer_id]
        await delete_at_stripe(living.pool, living.worker.gateway, ids, BY)
    assert not any(needle in file.read_text().lower() for needle in NEEDLES)

    await backup.restore(empty_database_url)
    settings = DatabaseSettings(_env_file=None, database_url=empty_database_url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        assert await places_of(pool, *NEEDLES)
        await mark_restored(pool, BY)
        assert await reapply_ledger(pool, file, BY) == 1
        await reconciler(living, pool).run()
        assert await reapply_ledger(pool, file, BY) == 0
        provisioning = replace(living.worker.provisioning, pool=pool)
        service = replace(living.service, pool=pool)
        await replace(living.worker, service=service, provisioning=provisioning).catch_up()
        assert await places_of(pool, *NEEDLES) == []
        row = await pool.fetchrow("SELECT status, stripe_status FROM subscriptions")
        assert tuple(row) == ("cancelled", "canceled")


async def test_reapplying_does_not_touch_somebody_who_has_come_back(
    past: Past, tmp_path: Path, order_a: dict[str, Any]
) -> None:
    file = tmp_path / "erasures.jsonl"
    await erase(past.pool, Who(email=EMAIL), file, BY)
    await past.service.buy({**order_a, "customer": {"name": "Ada Q", "email": EMAIL}})
    before = await past.places("ada.qxlovelace")
    assert await reapply_ledger(past.pool, file, BY) == 0
    assert before
    assert await past.places("ada.qxlovelace") == before


def test_a_ledger_that_is_not_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "erasures.jsonl"
    file.write_text('{"erasedAt": "2026-11-27T00:00:00+00:00", "kind": "email"}\n')
    with pytest.raises(UnreadableLedgerError, match="Line 1"):
        ledger.read(file)
