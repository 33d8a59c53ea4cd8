"""Roles on mPanel's own database: of mPanel, of our migrations, and of our processes."""

import asyncpg
import pytest

from mpanel_billing.database import migrations, repository
from mpanel_billing.database.grants import grants
from mpanel_billing.database.pool import create_pool
from mpanel_billing.database.privileges import RUNTIME
from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests import stripe_objects as made
from tests.commands import run_command
from tests.inbox import Inbox
from tests.mpanel.conftest import Clone
from tests.mpanel.databases import OWNER, as_role, connected, create_role
from tests.postgres import Databases
from tests.service import make_settings

FOREIGN = ["invoice_items", "payments", "audit_logs"]


@pytest.fixture(scope="session")
def runtime(postgres: EmbeddedPostgres, worker_id: str) -> str:
    """The role of our processes."""
    role = f"mpanel_billing_{worker_id}"
    create_role(postgres, role)
    return role


@pytest.fixture
async def granted_url(clone: Clone, runtime: str) -> str:
    """mPanel's database with our schema, as the role of our processes."""
    url = clone("mpanel_migrated")
    async with connected(url) as owner:
        await owner.execute(grants(OWNER, runtime, RUNTIME, add_only=False))
    return as_role(url, runtime)


async def test_our_processes_read_nothing_else_of_mpanel(granted_url: str) -> None:
    async with connected(granted_url) as connection:
        for table in [*FOREIGN, "users"]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"for table {table}"):
                await connection.fetch(f"SELECT * FROM {table}")
        assert await connection.fetchval("SELECT count(email) FROM users") > 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT count(password_hash) FROM users")


async def test_mpanel_deletes_what_stripe_bills_and_verifies_users_if_another_role_has_migrated(
    databases: Databases, clone: Clone, postgres: EmbeddedPostgres, worker_id: str
) -> None:
    """mPanel's role has no rights on our tables then; only the triggers write there."""
    url, ours = clone("mpanel"), f"migrating_{worker_id}"
    create_role(postgres, ours)
    databases.execute(f"GRANT {OWNER} TO {ours}")
    await migrations.migrate(as_role(url, ours))
    settings = make_settings(database_url=as_role(url, ours))
    async with await create_pool(settings) as owner, connected(url) as mpanel:
        await Inbox(owner).deliver("customer.subscription.created", made.subscription())
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await mpanel.execute("SELECT * FROM billing_deleted_subscriptions")
        await mpanel.execute("DELETE FROM subscriptions WHERE stripe_subscription_id IS NOT NULL")
        assert await owner.fetchval("SELECT count(*) FROM billing_deleted_subscriptions") == 1
        await owner.execute("DELETE FROM billing_noted_users")
        await mpanel.execute("UPDATE users SET email_verified = NOT email_verified")
        await mpanel.execute("UPDATE users SET email_verified = TRUE")
        assert await owner.fetchval("SELECT count(*) FROM billing_noted_users") > 0


async def test_a_view_or_routine_that_is_replaced_keeps_its_grants(
    clone: Clone, runtime: str
) -> None:
    url = clone("mpanel_migrated")
    async with connected(url) as owner:
        await owner.execute(grants(OWNER, runtime, RUNTIME, add_only=False))
        await owner.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
        before = await repository.list_privileges(owner, runtime)
        await owner.execute("UPDATE billing_schema_texts SET digest = 'older'")
        replaced = await run_command(url, "migrate", "up")
        assert "applied sql/routines/billing_receive_events_v3.sql\n" in replaced.out
        assert "lacks" not in replaced.out
        assert await repository.list_privileges(owner, runtime) == before


async def test_a_migration_says_which_role_lacks_what(clone: Clone, runtime: str) -> None:
    url = clone("mpanel_migrated")
    async with connected(url) as owner:
        await owner.execute(grants(OWNER, runtime, RUNTIME, add_only=False))
        # a reporting tool is nobody who runs the service
        await owner.execute("GRANT SELECT ON orders, stripe_events TO pg_monitor")
        await owner.execute(
            f"REVOKE UPDATE ON orders FROM {runtime}; REVOKE SELECT (email) ON users FROM {runtime}"
        )
        told = await run_command(url, "migrate", "up")
        assert told.status == 0
        assert (
            f"the role {runtime} lacks SELECT on users (email); UPDATE on orders: run" in told.out
        )
        assert "pg_monitor" not in told.out
        await owner.execute(grants(OWNER, runtime, RUNTIME, add_only=True))
    assert "lacks" not in (await run_command(url, "migrate", "up")).out
