"""What is on record and when, whatever the outcome of the change."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import asyncpg
import pytest

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Target, command_line_actor
from mpanel_billing.database.pool import Pool, create_pool, transaction
from mpanel_billing.database.queries import load_queries
from mpanel_billing.errors import (
    ConflictError,
    NotFoundError,
    StripeError,
    StripeUnavailableError,
)
from mpanel_billing.provisioning.drift import Drift, repair
from mpanel_billing.provisioning.drivers.protocol import Account, Found
from mpanel_billing.resources import ROOT
from mpanel_billing.settings import DatabaseSettings
from tests import stripe_objects as made
from tests.access.conftest import GRACE
from tests.commands import run_command
from tests.inbox import Inbox


@pytest.fixture
async def losable_pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections that a test may cut off."""
    settings = DatabaseSettings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
    async with await create_pool(settings) as opened:
        yield opened


async def only_entry(pool: Pool) -> asyncpg.Record:
    (entry,) = await audit.list_entries(pool, most=10)
    return entry


async def test_a_change_that_is_rolled_back_leaves_no_entry(pool: Pool) -> None:
    async def change() -> None:
        async with transaction(pool) as conn:
            await audit.record(conn, GRACE, "subscription.retry", Target("subscription", "1"))
            raise ConflictError("no")

    with pytest.raises(ConflictError):
        await change()
    assert await audit.list_entries(pool, most=10) == []


async def test_an_attempt_is_on_record_before_anything_happens(pool: Pool) -> None:
    target = Target("subscription", "1")
    async with audit.attempt(pool, GRACE, "subscription.cancel", target, {"now": True}) as entry:
        attempted = await only_entry(pool)
        assert (attempted["outcome"], attempted["details"]) == ("attempted", {"now": True})
        entry.note(refunded=799)
    done = await only_entry(pool)
    assert (done["outcome"], done["error"]) == ("done", None)
    assert done["details"] == {"now": True, "refunded": 799}
    assert (done["target_type"], done["target_id"]) == ("subscription", "1")


@pytest.mark.parametrize(
    ("error", "outcome", "word"),
    [
        (ConflictError("no"), "failed", "conflict"),
        (StripeError("no"), "failed", "stripe_error"),
        (StripeUnavailableError("?"), "attempted", "stripe_unavailable"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
    ],
    ids=lambda value: str(value) or type(value).__name__,
)
async def test_the_outcome_of_an_attempt_is_written_and_its_error_is_raised(
    pool: Pool, error: Exception, outcome: str, word: str
) -> None:
    with pytest.raises(type(error)):
        async with audit.attempt(pool, GRACE, "invoice.refund"):
            raise error
    entry = await only_entry(pool)
    assert (entry["outcome"], entry["error"]) == (outcome, word)


async def test_a_change_is_not_undone_by_a_database_that_is_gone_at_its_end(
    pool: Pool, losable_pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    async with audit.attempt(losable_pool, GRACE, "invoice.refund"):
        await losable_pool.close()
    assert (await only_entry(pool))["outcome"] == "attempted"
    assert "the outcome is not in the audit log" in caplog.text


async def test_what_the_service_does_on_its_own_leaves_no_entry(pool: Pool) -> None:
    async with audit.attempt(pool, None, "catalogue.push") as entry:
        entry.note(created=1)
    async with transaction(pool) as conn:
        await audit.record(conn, None, "catalogue.apply")
    assert await audit.list_entries(pool, most=10) == []


async def test_secrets_and_addresses_in_the_details_are_masked(pool: Pool) -> None:
    details = {"reason": "ada@example.com sent sk_live_abc", "within": [{"whsec": "whsec_abc"}]}
    async with transaction(pool) as conn:
        await audit.record(conn, GRACE, "key.create", details=details)
    assert (await only_entry(pool))["details"] == {
        "reason": "a***@example.com sent sk_live_***",
        "within": [{"whsec": "whsec_***"}],
    }


def test_behind_sudo_the_actor_is_the_user_who_ran_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setattr("socket.gethostname", lambda: "srv1")
    monkeypatch.setenv("SUDO_USER", "grace")
    assert command_line_actor().name == "cli:grace@srv1"
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    assert command_line_actor().name == "cli:4000000@srv1"


async def test_repairs_of_our_records_are_on_record(inbox: Inbox, pool: Pool) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    await inbox.deliver("invoice.paid", made.invoice())
    id_ = (await inbox.subscription())["id"]
    await pool.execute(
        """INSERT INTO tenant_services (subscription_id, product_type, desired, actual, driver,
               external_ref)
           VALUES ($1, 'hosting', 'active', 'active', 'log', 'h-1')""",
        id_,
    )
    drift = Drift(Account(id_, "hosting", "h-1"), 0, "active", Found("suspended"))
    assert await repair(pool, drift, GRACE)
    entry = await only_entry(pool)
    assert (entry["action"], entry["target_id"]) == ("subscription.fix", str(id_))
    assert entry["details"] == {"service": "hosting", "expected": "active", "found": "suspended"}


ASKED = (
    *({"target_id": "7"}, {"target_id": "7", "actor": "key-7"}, {"actor": "rare"}),
    *({"person": "ada"}, {}),
)
MANY_ENTRIES = """
INSERT INTO billing_audit_entries (actor, person, action, target_type, target_id, outcome)
SELECT CASE n WHEN 9 THEN 'rare' ELSE 'key-' || n % 50 END,
    CASE n % 2000 WHEN 7 THEN 'ada' END, 'a.b', 'event', (n % 2000)::text,
    CASE WHEN n % 2 = 1 THEN 'attempted' ELSE 'done' END
FROM generate_series(1, 20000) AS n;
INSERT INTO billing_audit_entries
    (attempt_id, actor, person, action, target_type, target_id, outcome)
SELECT id, actor, person, action, target_type, target_id, 'failed'
FROM billing_audit_entries WHERE outcome = 'attempted';
ANALYZE billing_audit_entries
"""


async def test_a_page_costs_the_same_however_long_the_log_is(pool: Pool) -> None:
    """By what the server has read of the table: hardly more than the page."""
    read = """SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
              WHERE relname = 'billing_audit_entries'"""
    await pool.execute(MANY_ENTRIES)
    queries = load_queries("audit")
    for asked in ASKED:
        async with transaction(pool) as conn:
            await queries.plan_for_values.execute(conn)
            before = await conn.fetchval(read)
            anybody = {"target_id": None, "actor": None, "person": None}
            rows = await queries.list_entries.fetch(
                conn, **anybody | asked, before=audit.LAST_ID, most=10
            )
            assert rows, asked
            assert await conn.fetchval(read) - before <= 45, asked


OLD_ATTEMPT = """
INSERT INTO billing_audit_entries (actor, action, target_type, target_id, outcome, began_at)
VALUES ('panel', 'subscription.cancel', 'subscription', 'sub_1', 'attempted', now() - $1::interval)
RETURNING id
"""


async def attempted(pool: Pool, ago: timedelta) -> int:
    id_: int = await pool.fetchval(OLD_ATTEMPT, ago)
    return id_


async def unfinished(pool: Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT object_id FROM billing_trouble WHERE trouble = 'request_unfinished'"
    )
    return [row["object_id"] for row in rows]


async def test_an_attempt_that_stayed_unknown_is_trouble_until_a_person_settles_it(
    pool: Pool,
) -> None:
    await attempted(pool, timedelta(minutes=14))
    old = await attempted(pool, timedelta(minutes=16))
    assert await unfinished(pool) == [str(old)]
    await audit.settle(pool, old, "failed", "not at Stripe", GRACE)
    assert await unfinished(pool) == []
    by_hand, entry, _ = await audit.list_entries(pool, most=10)
    assert (entry["id"], entry["outcome"]) == (old, "failed")
    assert entry["details"] == {"settledBy": GRACE.name, "reason": "not at Stripe"}
    assert (by_hand["action"], by_hand["target_id"]) == ("audit.settle", str(old))


async def test_only_an_attempt_that_has_surely_ended_can_be_settled(pool: Pool) -> None:
    young = await attempted(pool, timedelta(minutes=14))
    old = await attempted(pool, timedelta(minutes=16))
    with pytest.raises(ConflictError, match="may still be under way"):
        await audit.settle(pool, young, "done", "?", GRACE)
    await audit.settle(pool, old, "done", "seen at Stripe", GRACE)
    with pytest.raises(ConflictError, match="is known: done"):
        await audit.settle(pool, old, "failed", "?", GRACE)
    with pytest.raises(NotFoundError):
        await audit.settle(pool, old + 1000, "done", "?", GRACE)


async def test_an_attempt_and_its_outcome_are_two_rows_and_neither_changes(pool: Pool) -> None:
    async with audit.attempt(pool, GRACE, "invoice.refund", Target("invoice", "1")) as entry:
        entry.note(refunded=799)
    rows = await pool.fetch("SELECT * FROM billing_audit_entries ORDER BY id")
    assert [(row["outcome"], row["details"]) for row in rows] == [
        ("attempted", {}),
        ("done", {"refunded": 799}),
    ]
    assert rows[1]["attempt_id"] == rows[0]["id"]
    shown = await pool.fetchrow("SELECT * FROM billing_audit_log")
    assert shown is not None
    assert (shown["id"], shown["outcome"], shown["at"]) == (entry.id, "done", rows[0]["began_at"])


CHANGES = (
    "UPDATE billing_audit_entries SET actor = 'mallory'",
    "UPDATE billing_audit_log SET outcome = 'failed'",
    "DELETE FROM billing_audit_entries",
    "TRUNCATE billing_audit_entries",
)


@pytest.mark.parametrize("change", CHANGES)
async def test_nobody_rewrites_the_log_not_even_the_owner_of_the_table(
    pool: Pool, change: str
) -> None:
    await attempted(pool, timedelta(days=9000))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="rows of billing_audit_entries"):
        await pool.execute(change)


async def test_the_owner_of_the_table_lacks_the_grants_too(pool: Pool) -> None:
    """Superusers, as in this test, have all rights; so what was granted is read."""
    granted = await pool.fetch(
        """SELECT acl.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS acl
           WHERE c.relname = 'billing_audit_entries'"""
    )
    assert {"SELECT", "INSERT"} <= {row["privilege_type"] for row in granted}
    assert not {"UPDATE", "DELETE", "TRUNCATE"} & {row["privilege_type"] for row in granted}


ROLE = re.compile(r"```sql\n(CREATE ROLE mpanel_billing_audit.*?)```", re.DOTALL)


async def create_role(pool: Pool) -> None:
    """Run what docs/access.md has an administrator run; the role is the same for all databases."""
    (text,) = ROLE.findall((ROOT / "docs" / "access.md").read_text())
    create, _, grants = text.partition(";")
    with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        await pool.execute(create)
    await pool.execute(grants)


async def test_only_the_role_of_prune_deletes_and_only_what_is_old_and_has_an_outcome(
    pool: Pool, database_url: str
) -> None:
    await create_role(pool)
    old = await attempted(pool, timedelta(days=4000))
    await attempted(pool, timedelta(days=4001))
    await audit.settle(pool, old, "done", "seen at Stripe", GRACE)
    refused = await run_command(database_url, "audit", "prune", AUDIT_DATABASE_URL=database_url)
    assert (refused.status, "mpanel_billing_audit" in refused.err) == (1, True)
    missing = await run_command(database_url, "audit", "prune")
    assert missing.err.startswith("mpanel-billing: AUDIT_DATABASE_URL: is missing")
    url = database_url.replace("postgres:", "mpanel_billing_audit:", 1)
    counted = await run_command(database_url, "audit", "prune", "--dry-run")
    assert counted.out == "1 changes are older than 3650 days\n"
    done = await run_command(database_url, "audit", "prune", AUDIT_DATABASE_URL=url)
    assert done.out == "deleted 1 changes older than 3650 days\n", done
    assert [(row["action"], row["outcome"]) for row in await audit.list_entries(pool, most=9)] == [
        ("audit.prune", "done"),
        ("audit.settle", "done"),
        ("subscription.cancel", "attempted"),
    ]
    again = await run_command(database_url, "audit", "prune", AUDIT_DATABASE_URL=url)
    assert again.out == "deleted 0 changes older than 3650 days\n"


async def test_the_role_of_prune_can_do_nothing_else(pool: Pool) -> None:
    await create_role(pool)
    young = await attempted(pool, timedelta(days=89))
    async with transaction(pool) as conn:
        await conn.execute("SET LOCAL ROLE mpanel_billing_audit")
        for text in (
            f"DELETE FROM billing_audit_entries WHERE id = {young}",
            "UPDATE billing_audit_entries SET actor = 'mallory'",
            "SELECT FROM subscriptions",
            "DELETE FROM billing_audit_unsettled",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with conn.transaction():
                    await conn.execute(text)
