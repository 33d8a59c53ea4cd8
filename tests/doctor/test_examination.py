"""What the doctor finds, on healthy and on broken set-ups."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Scope
from mpanel_billing.access.keys import create_key, revoke_key
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.doctor import endpoints
from mpanel_billing.doctor.database import check_role
from mpanel_billing.doctor.examination import DatabaseSide, StripeSide, examine
from mpanel_billing.doctor.finding import Finding, Status, some
from mpanel_billing.doctor.work import SERVICE_FAULTS, check_product_types, judge_trouble
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from stripe_sandbox.client import SandboxClient
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.provisioning.conftest import ProvisioningSystem, system, world
from tests.roles import RUNTIME_ROLE, WEB_ROLE, settings_under
from tests.service import Service, make_settings

__all__ = ["system", "world"]

SOLD = ["backup", "cdn", "email", "hosting", "monitoring", "ssl", "storage", "support"]
NARROW_AND_BROAD: dict[str, tuple[Scope, ...]] = {
    "panel": ("billing", "admin:read"),
    "gone": ("billing",),
    "reader": ("billing:read", "billing:any-customer"),
}


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[DatabaseSide]:
    """As the role of the service."""
    granted = settings_under(settings, RUNTIME_ROLE)
    async with await create_pool(granted) as pool:
        yield DatabaseSide(granted, pool)


@pytest.fixture
def stripe_side(settings: Settings, gateway: StripeGateway) -> StripeSide:
    return StripeSide(settings, gateway)


def failures(findings: Sequence[Finding]) -> dict[str, str]:
    return {f.name: f.detail for f in findings if f.status is Status.FAILED}


def detail(findings: Sequence[Finding], name: str) -> str:
    return next(finding.detail for finding in findings if finding.name == name)


async def test_a_healthy_service_has_no_failures(
    db: DatabaseSide, stripe_side: StripeSide, offers: None
) -> None:
    findings = await examine(db, stripe_side)
    assert failures(findings) == {}
    assert {finding.name for finding in findings} == {
        "versions", "dbmate", "database", "database user", "database clock", "database rights",
        "schema", "trouble",
        "stripe key", "stripe account", "clock", "webhook endpoint", "customer portal",
        "webhook deliveries",
        "catalogue", "stripe catalogue", "inbox", "queue", "worker", "retention", "api keys",
        "announced prices", "movements",
    }  # fmt: skip
    warned = {finding.name for finding in findings if finding.status is Status.WARNING}
    assert warned == {"worker", "webhook deliveries"}
    assert all(finding.advice for finding in findings if finding.status is not Status.OK)


async def test_every_failure_says_what_to_do(
    db: DatabaseSide, stripe_side: StripeSide, pool: Pool, inbox: Inbox
) -> None:
    await pool.execute("ALTER TABLE subscriptions ADD CONSTRAINT fault CHECK (amount <> 666)")
    await inbox.deliver("customer.subscription.created", made.subscription(amount=666))
    findings = await examine(db, stripe_side)
    assert failures(findings) == {
        "catalogue": "is empty",
        "inbox": "events not applied: 1, the oldest for 0 s",
        "trouble": "event_failed: 1, for 0 s",
    }
    assert all(f.advice for f in findings if f.status is Status.FAILED)


async def test_a_paid_order_that_a_service_refuses_is_a_failure(
    db: DatabaseSide, system: ProvisioningSystem
) -> None:
    system.world.misbehave("hosting", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    assert "provisioning_failed: 1, for" in failures(await examine(db, None))["trouble"]


async def test_a_customer_who_does_not_pay_is_a_warning() -> None:
    assert judge_trouble([("overdue", 3, 7200)]).status is Status.WARNING
    assert judge_trouble([("overdue", 3, 7200), ("drift", 1, 60)]).status is Status.FAILED


async def test_the_kinds_that_are_faults_of_the_service_exist(pool: Pool) -> None:
    rows = await pool.fetch("SELECT kind FROM billing_trouble_kinds WHERE list = 'trouble'")
    assert {row["kind"] for row in rows} >= SERVICE_FAULTS


async def test_a_role_that_owns_the_tables_is_named(
    settings: Settings, pool: Pool, database_url: str
) -> None:
    role = f"owner_{uuid4().hex[:8]}"
    await pool.execute(f"CREATE ROLE {role} LOGIN")
    try:
        url = SecretStr(database_url.replace("postgres:@", f"{role}:@"))
        async with await create_pool(settings.model_copy(update={"database_url": url})) as theirs:
            [right] = await check_role(theirs)
            await pool.execute(f"ALTER TABLE stripe_events OWNER TO {role}")
            [owner] = await check_role(theirs)
    finally:
        await pool.execute(f"REASSIGN OWNED BY {role} TO postgres")
        await pool.execute(f"DROP ROLE {role}")
    assert (right.status, owner.status) == (Status.OK, Status.WARNING)
    assert "owns the tables" in owner.detail


@pytest.mark.parametrize(
    ("livemode", "services", "unmade"),
    [
        (False, {}, []),
        (True, {}, SOLD),
        (False, {"hosting": {"driver": "log"}}, [kind for kind in SOLD if kind != "hosting"]),
        (True, {kind: {"driver": "log"} for kind in SOLD}, []),
    ],
)
async def test_what_is_sold_and_made_by_no_service_is_named(
    settings: Settings, pool: Pool, offers: None, *, livemode: bool, services: Any, unmade: Any
) -> None:
    key = "sk_live_of_the_tests" if livemode else "sk_test_of_the_tests"
    configured = make_settings(stripe_secret_key=key, provisioning_services=services)
    [finding] = await check_product_types(pool, configured)
    assert (finding.status is Status.WARNING) == bool(unmade)
    assert some(unmade) in finding.detail


async def test_what_differs_in_stripe_is_named(
    db: DatabaseSide, stripe_side: StripeSide, pool: Pool, offers: None
) -> None:
    v1 = stripe_side.gateway.client.v1
    row = await pool.fetchrow(
        "SELECT lookup_key, stripe_price_id FROM prices WHERE active ORDER BY lookup_key LIMIT 1"
    )
    assert row is not None
    await v1.prices.update_async(row["stripe_price_id"], {"active": False})
    await v1.products.update_async("mpanel_starter", {"name": "Beginner", "active": False})
    await v1.coupons.delete_async("WELCOME10")
    drift = failures(await examine(db, stripe_side))["stripe catalogue"]
    assert drift.endswith(" and 1 more")
    assert "product starter: name is Beginner, not " in drift
    assert f"price {row['lookup_key']} is missing" in drift


async def test_an_old_schema_is_found_and_what_needs_it_is_not_looked_at(
    db: DatabaseSide, stripe_side: StripeSide, pool: Pool
) -> None:
    await pool.execute("DELETE FROM billing_schema_migrations WHERE version > '20261126001000'")
    findings = await examine(db, stripe_side)
    assert failures(findings).keys() == {"schema"}
    assert "migrations are pending: 20261126001100_pgqueuer.sql, " in detail(findings, "schema")
    assert detail(findings, "inbox") == "not checked: the schema is missing or outdated"
    assert detail(findings, "stripe key") == "works at 127.0.0.1, test mode"


async def test_no_schema_at_all_is_found(empty_database_url: str, stripe_side: StripeSide) -> None:
    settings = make_settings(database_url=empty_database_url)
    async with await create_pool(settings) as pool:
        found = failures(await examine(DatabaseSide(settings, pool), stripe_side))
    assert found == {"schema": "is missing"}


async def test_keys_that_may_do_everything_or_expire_soon_are_named(
    db: DatabaseSide, pool: Pool
) -> None:
    by = Actor("cli:grace@panel")
    for name, scopes in NARROW_AND_BROAD.items():
        await create_key(pool, by, name=name, scopes=scopes)
    await revoke_key(pool, by, "gone")
    await pool.execute(
        """UPDATE billing_api_keys SET last_used_at = now(), expires_at = now()
               + CASE name WHEN 'reader' THEN '9.5 days' ELSE '31 days' END::interval"""
    )
    broad, ending = [f for f in await examine(db, None) if f.name.startswith("api keys")]
    assert {broad.status, ending.status} == {Status.WARNING}
    assert broad.detail.endswith(": panel")
    assert ending.detail == "reader in 10 days"


async def test_a_database_outage_does_not_hide_what_is_wrong_at_stripe() -> None:
    nowhere = make_settings(stripe_api_base="http://127.0.0.1:1")
    gateway = open_gateway(nowhere)
    async with await create_pool(nowhere) as pool:
        found = failures(await examine(DatabaseSide(nowhere, pool), StripeSide(nowhere, gateway)))
    await gateway.close()
    assert {"database", "schema", "stripe key", "stripe account"} <= found.keys()
    assert found["database"].startswith("cannot be reached: ")


async def test_each_side_is_checked_on_its_own(db: DatabaseSide, stripe_side: StripeSide) -> None:
    names = {finding.name for finding in await examine(None, stripe_side)}
    assert names >= {"stripe key", "webhook endpoint"}
    assert "database" not in names
    names = {finding.name for finding in await examine(db, None)}
    assert names >= {"database", "schema", "worker"}
    assert "stripe key" not in names


async def test_a_check_that_hangs_is_a_finding_and_the_others_go_on(
    db: DatabaseSide, stripe_side: StripeSide, stripe: SandboxClient
) -> None:
    await stripe.inject_fault("hang", path="/v1/balance", seconds=30)
    findings = await examine(db, stripe_side, limit=2)
    assert failures(findings)["stripe key"] == "timed out after 2 s"
    assert detail(findings, "database").startswith("PostgreSQL ")


async def test_a_key_that_stripe_refuses_is_found(db: DatabaseSide, settings: Settings) -> None:
    wrong = make_settings(
        stripe_secret_key="sk_live_of_the_tests", stripe_api_base=str(settings.stripe_api_base)
    )
    gateway = open_gateway(wrong)
    findings = await examine(db, StripeSide(wrong, gateway))
    await gateway.close()
    assert "HTTP 401" in failures(findings)["stripe key"]
    assert "sk_live" not in str(findings)


async def test_events_that_arrive_show_that_the_secret_is_right(
    service: Service, db: DatabaseSide, stripe_side: StripeSide
) -> None:
    await stripe_side.gateway.client.v1.customers.create_async({"email": "ada@example.com"})
    await service.stripe.wait_idle()
    found = detail(await examine(db, stripe_side), "webhook deliveries")
    assert found.startswith("customer.created arrived ")
    assert found.endswith("correctly signed; none of the last day is missing")


async def test_events_that_stripe_made_and_we_lack_are_found(
    *,
    service: Service,
    db: DatabaseSide,
    stripe_side: StripeSide,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoints, "ON_ITS_WAY", -timedelta(seconds=5))
    await service.stripe.set_delivery(drop=["customer.created"])
    await stripe_side.gateway.client.v1.customers.create_async({"email": "ada@example.com"})
    found = failures(await examine(db, stripe_side))
    assert found["webhook deliveries"].startswith(
        "missing from the last 1 events: customer.created evt_"
    )


async def test_what_the_role_of_the_service_lacks_or_has_too_much_is_named(
    db: DatabaseSide, pool: Pool
) -> None:
    await pool.execute(f"REVOKE UPDATE ON orders FROM {RUNTIME_ROLE}")
    await pool.execute(f"REVOKE SELECT (email) ON users FROM {RUNTIME_ROLE}")
    await pool.execute("GRANT SELECT ON users TO PUBLIC")
    await pool.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    found = [f for f in await examine(db, None) if f.name == "database rights"]
    assert [(f.status, f.detail) for f in found] == [
        (Status.FAILED, f"{RUNTIME_ROLE} lacks UPDATE on orders, needed by web and worker"),
        (
            Status.WARNING,
            f"{RUNTIME_ROLE} has SELECT on users, not needed by web and worker",
        ),
        (Status.WARNING, f"{RUNTIME_ROLE} may create tables in the schema public"),
    ]


@pytest.mark.parametrize("role", [WEB_ROLE, RUNTIME_ROLE])
async def test_the_doctor_may_look_at_everything_with_the_role_of_the_service(
    settings: Settings, role: str
) -> None:
    granted = settings_under(settings, role)
    async with await create_pool(granted) as pool:
        findings = await examine(DatabaseSide(granted, pool), None)
    assert failures(findings) == {}
    assert detail(findings, "database rights").startswith(f"{role} has those of web")


async def test_a_role_that_may_do_anything_is_named(settings: Settings, pool: Pool) -> None:
    findings = await examine(DatabaseSide(settings, pool), None)
    assert detail(findings, "database user") == "postgres is a superuser"
    assert "database rights" not in {finding.name for finding in findings}
