"""The life of a domain: which state follows which, and whose it is. The database holds both."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.provisioning.service_state import domains_in
from tests.commands import run_command
from tests.provisioning.conftest import ProvisioningSystem

ENDED_LONG_AGO = int((datetime.now(UTC) - timedelta(days=31)).timestamp())
REGISTERED = {"active", "renewing", "expired", "redemption", "transferred_out", "released"}
LEGAL = {
    "ordered": {"paid", "verifying", "active", "released", "failed"},
    "paid": {"registering", "transferring", "active", "released", "failed"},
    "registering": {"transferring", "active", "released", "failed"},
    "transferring": {"active", "released", "failed"},
    "verifying": {"active", "released", "failed"},
    "active": REGISTERED,
    "renewing": REGISTERED,
    "expired": REGISTERED,
    "redemption": REGISTERED,
    "transferred_out": {"active", "released"},
    "released": set(),
    "failed": set(),
}
STATES = tuple(LEGAL)


async def add(pool: Pool, state: str = "ordered", **columns: Any) -> UUID:
    """Add a row of ada.com in a state."""
    customer = await pool.fetchval("INSERT INTO customers (email) VALUES (NULL) RETURNING id")
    values = {
        "name": "ada.com",
        "unicode_name": "ada.com",
        "skeleton": "ada.com",
        "registrable": "ada.com",
        "mode": "register",
        "state": state,
        "customer_id": customer,
        "held_at": datetime.now(UTC),
        "paid_at": datetime.now(UTC),
        "paid_until": datetime.now(UTC),
        **columns,
    }
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    id_: UUID = await pool.fetchval(
        f"INSERT INTO billing_domains ({', '.join(values)}) VALUES ({places}) RETURNING id",
        *values.values(),
    )
    return id_


async def test_the_database_allows_the_legal_transitions_and_no_others(pool: Pool) -> None:
    for before in STATES:
        for after in STATES:
            id_ = await add(pool, before, name=f"{before}-{after}.com")
            move = "UPDATE billing_domains SET state = $1 WHERE id = $2"
            if after == before or after in LEGAL[before]:
                await pool.execute(move, after, id_)
            else:
                with pytest.raises(asyncpg.CheckViolationError, match="does not go from"):
                    await pool.execute(move, after, id_)


async def test_a_name_has_one_live_row_whatever_wants_it(pool: Pool) -> None:
    await add(pool, held_at=None, paid_at=None)
    await add(pool, held_at=None, paid_at=None)
    await add(pool, "released")
    await add(pool, "active")
    with pytest.raises(asyncpg.UniqueViolationError):
        await add(pool, "paid")


@pytest.mark.parametrize("state", ["paid", "registering", "transferring"])
async def test_no_registrar_is_asked_for_what_was_not_found_paid(pool: Pool, state: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await add(pool, state, paid_at=None)
    with pytest.raises(asyncpg.CheckViolationError):
        await add(pool, state, held_at=None)


async def order(system: ProvisioningSystem, mode: str, name: str, **further: Any) -> None:
    await system.deliver_subscription("active", **further)
    await system.pool.execute(
        "UPDATE subscriptions SET metadata = $1", {"domainMode": mode, "domainValue": name}
    )


async def state_of(system: ProvisioningSystem, name: str = "ada.com") -> str:
    row = await system.inbox.row("SELECT state FROM billing_domains WHERE name = $1", name)
    state: str = row["state"]
    return state


@pytest.mark.parametrize(
    ("mode", "asked"), [("register", "registering"), ("transfer", "transferring")]
)
async def test_a_domain_is_paid_then_asked_for_and_active_once_the_service_says_so(
    system: ProvisioningSystem, mode: str, asked: str
) -> None:
    await order(system, mode, "ada.com")
    await system.deliver_invoice("paid", total=0)
    assert (await system.run()).done
    assert await state_of(system) == "ordered"

    system.world.misbehave("hosting", "fail_after")
    await system.deliver_invoice("paid", "in_2", total=3899, created=1_900_000_000)
    assert not (await system.run()).done
    assert await state_of(system) == asked
    await system.make_due()
    assert (await system.run()).done
    row = await system.inbox.row("SELECT * FROM billing_domains")
    assert (row["state"], row["registered_at"] is None) == ("active", False)


async def test_what_the_buyer_has_already_is_active_at_once(system: ProvisioningSystem) -> None:
    await order(system, "existing", "ada.com")
    await system.deliver_invoice("paid", total=0)
    assert (await system.run()).done
    row = await system.inbox.row("SELECT * FROM billing_domains")
    assert (row["state"], row["registered_at"], row["paid_at"]) == ("active", None, None)


async def test_of_two_who_have_paid_for_a_name_one_row_failed(system: ProvisioningSystem) -> None:
    await system.pool.execute("INSERT INTO tenants (name, domain) VALUES ('Other', 'ada.com')")
    await order(system, "register", "ada.com")
    await system.deliver_invoice("paid")
    assert (await system.run()).done
    assert await state_of(system) == "failed"


async def end(system: ProvisioningSystem, mode: str) -> None:
    """Sell ada.com with a subscription whose accounts are terminated in the end."""
    await order(system, mode, "ada.com")
    await system.deliver_invoice("paid", total=3899)
    assert (await system.run()).done
    await system.deliver_subscription(
        "canceled", ended_at=ENDED_LONG_AGO, canceled_at=ENDED_LONG_AGO
    )
    await system.run()


async def test_what_was_registered_stays_its_customers_when_the_tenant_has_ended(
    system: ProvisioningSystem, database_url: str
) -> None:
    await end(system, "register")
    row = await system.inbox.row("SELECT * FROM billing_domains")
    assert (row["state"], row["subscription_id"]) == ("active", None)
    assert row["customer_id"] is not None

    shown = await run_command(database_url, "domains", "list")
    assert f"ada.com  register  active  customer {row['customer_id']}  no tenant" in shown.out
    checked = await run_command(database_url, "domains", "check", "WWW.ada.com")
    assert "a customer has it" in checked.out
    released = await run_command(database_url, "domains", "release", "ada.com")
    assert str(row["customer_id"]) in released.out
    assert await state_of(system) == "released"
    checked = await run_command(database_url, "domains", "check", "ada.com")
    assert "nobody has it here" in checked.out
    assert (await run_command(database_url, "domains", "release", "ada.com")).status == 1
    history = await run_command(database_url, "domains", "show", "ada.com")
    assert "registered or transferred" in history.out
    audited = await system.pool.fetchval(
        "SELECT action FROM billing_audit_entries ORDER BY id DESC LIMIT 1"
    )
    assert audited == "domain.release"


async def test_what_was_registered_by_a_run_that_did_not_finish_stays_its_customers_too(
    system: ProvisioningSystem,
) -> None:
    at_once = replace(system.provisioning.policy, retention=timedelta(0))
    system = replace(system, provisioning=replace(system.provisioning, policy=at_once))
    await order(system, "register", "ada.com")
    await system.deliver_invoice("paid", total=3899)
    system.world.gate.clear()
    run = asyncio.create_task(system.run())
    await system.world.entered.wait()
    await system.deliver_subscription(
        "canceled", ended_at=ENDED_LONG_AGO, canceled_at=ENDED_LONG_AGO
    )
    system.world.gate.set()
    await run
    await system.run()
    assert system.world.of(await system.id_of()) == {}, "terminated"
    row = await system.inbox.row("SELECT * FROM billing_domains")
    assert (row["state"], row["subscription_id"]) == ("active", None)
    assert None not in (row["customer_id"], row["registered_at"])


async def test_what_was_the_buyers_own_is_free_when_the_tenant_has_ended(
    system: ProvisioningSystem,
) -> None:
    await end(system, "existing")
    assert await state_of(system) == "released"


@pytest.mark.parametrize("mode", ["existing", "register", "new-or-transfer"])
async def test_a_customer_who_comes_back_gets_the_name_that_they_have_kept_if_vouched_for(
    system: ProvisioningSystem, mode: str
) -> None:
    await end(system, "register")
    await add_kept(system, "ada.eu")
    await system.deliver_subscription("active", id_="sub_2")
    await system.deliver_invoice("paid", "in_9", subscription="sub_2", total=3899)
    await system.pool.execute(
        "UPDATE subscriptions SET metadata = $1, customer_id = (SELECT customer_id FROM"
        " billing_domains WHERE name = 'ada.com') WHERE stripe_subscription_id = 'sub_2'",
        {"domainMode": mode, "domainValue": "ada.com", "furtherDomains": ["ada.eu", "ada.net"]},
    )
    await system.pool.execute(
        "INSERT INTO orders (subscription_id, customer_id, fingerprint, vouched)"
        " SELECT id, customer_id, 'x', TRUE FROM subscriptions"
        " WHERE stripe_subscription_id = 'sub_2'"
    )
    assert (await system.run("sub_2")).done
    rows = await system.pool.fetch("SELECT * FROM billing_domains ORDER BY name")
    assert [(row["name"], row["mode"], row["state"]) for row in rows] == [
        ("ada.com", "register", "active"),
        ("ada.eu", "register", "active"),
        ("ada.net", "new-or-transfer", "active"),
    ]
    assert None not in [row["subscription_id"] for row in rows]
    create = system.world.calls[-1]
    assert (create.action, create.details["domainMode"]) == ("create", "existing")
    assert domains_in(create.details) == ["ada.net"], "the registry has the others already"
    tenant = await system.inbox.row("SELECT status FROM tenants WHERE domain = 'ada.com'")
    assert tenant["status"] == "active"
    assert await system.troubles() == []

    await system.deliver_subscription("active", "premium_monthly_usd", id_="sub_2")
    assert (await system.run("sub_2")).done
    later = system.world.calls[system.world.calls.index(create) + 1 :]
    assert later
    assert not any(domains_in(call.details) for call in later)


async def add_kept(system: ProvisioningSystem, name: str) -> None:
    """Add another name that the customer of ada.com has kept."""
    owner = await system.pool.fetchval(
        "SELECT customer_id FROM billing_domains WHERE name = 'ada.com'"
    )
    named = {"name": name, "unicode_name": name, "skeleton": name, "registrable": name}
    now = datetime.now(UTC)
    await add(system.pool, "active", **named, customer_id=owner, registered_at=now)


async def test_a_new_account_does_not_order_what_the_one_before_it_has_ordered(
    system: ProvisioningSystem,
) -> None:
    await order(system, "register", "ada.com")
    await system.deliver_invoice("paid", total=3899)
    assert (await system.run()).done
    await system.pool.execute("UPDATE tenant_services SET actual = 'terminated'")
    await system.pool.execute("UPDATE provisioning_work SET version = version + 1")
    assert (await system.run()).done
    create = system.world.calls[-1]
    assert (create.action, create.details["domainMode"]) == ("create", "existing")


async def test_an_imitation_of_a_hosted_name_is_taken_and_the_imitated_one_is_not(
    system: ProvisioningSystem, database_url: str
) -> None:
    await order(system, "existing", "www.ada.com")
    await system.deliver_invoice("paid")
    assert (await system.run()).done
    imitation = await run_command(database_url, "domains", "check", "\u0430da.com")
    assert "or one like it" in imitation.out
    await system.pool.execute("UPDATE billing_domains SET state = 'released'")
    await system.pool.execute("UPDATE tenants SET domain = 'none.invalid'")
    await add(
        system.pool,
        "active",
        name="xn--da-6kc.com",
        unicode_name="\u0430da.com",
        registrable="xn--da-6kc.com",
    )
    assert (
        "nobody has it here" in (await run_command(database_url, "domains", "check", "ada.com")).out
    )
