"""A customer who comes back gets the tenant and the accounts of the subscription that ended."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import transaction
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.provisioning.drift import find_drift
from mpanel_billing.provisioning.operations import adopt, suspend
from mpanel_billing.subscriptions import repository
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.test_after_end import days_ago

OPERATOR = Actor("test")

TAKEOVERS = "SELECT predecessor_id FROM billing_takeovers"


async def order(system: ProvisioningSystem, id_: str, *, vouched: bool, days_ago: int = 0) -> UUID:
    """Pay an order for ada.example."""
    await system.deliver_subscription("active", id_=id_)
    await system.deliver_invoice("paid", f"in_{id_}", subscription=id_)
    subscription_id = await system.id_of(id_)
    await system.pool.execute(
        "UPDATE subscriptions SET metadata = $2 WHERE id = $1",
        subscription_id,
        {"domainMode": "existing", "domainValue": "ada.example"},
    )
    await system.pool.execute(
        "INSERT INTO orders (subscription_id, customer_id, fingerprint, vouched)"
        " SELECT id, customer_id, id::text::bytea, $2 FROM subscriptions WHERE id = $1",
        subscription_id,
        vouched,
    )
    return subscription_id


async def end(system: ProvisioningSystem, id_: str = "sub_1", *, days_ago: int = 5) -> None:
    at = int((datetime.now(UTC) - timedelta(days=days_ago)).timestamp())
    await system.deliver_subscription("canceled", id_=id_, ended_at=at, canceled_at=at)
    await system.run(id_)


async def tenant_of(system: ProvisioningSystem, subscription_id: UUID) -> asyncpg.Record:
    return await system.inbox.row(
        "SELECT t.* FROM tenants AS t JOIN subscriptions AS s"
        " ON s.tenant_id = t.id AND t.billing_subscription_id = s.id WHERE s.id = $1",
        subscription_id,
    )


async def accounts(system: ProvisioningSystem, subscription_id: UUID) -> dict[str, str]:
    """Return the references of a subscription's accounts, by product type."""
    rows = await system.pool.fetch(
        "SELECT product_type, external_ref FROM tenant_services WHERE subscription_id = $1",
        subscription_id,
    )
    return {row["product_type"]: row["external_ref"] for row in rows}


@pytest.fixture
async def ended(system: ProvisioningSystem) -> UUID:
    """A subscription with ada.example that has ended five days ago."""
    id_ = await order(system, "sub_1", vouched=False)
    assert (await system.run()).done
    await end(system)
    assert system.world.of(id_) == {"hosting": "suspended"}
    return id_


async def test_a_vouched_order_takes_over_the_customers_own_ended_tenant(
    system: ProvisioningSystem, ended: UUID
) -> None:
    tenant, had = await tenant_of(system, ended), await accounts(system, ended)
    id_ = await order(system, "sub_2", vouched=True)
    assert (await system.run("sub_2")).done
    assert await accounts(system, id_) == had
    assert system.world.of(ended) == {"hosting": "active"}, "under the id it was created for"
    now = await tenant_of(system, id_)
    assert (now["id"], now["domain"], now["status"]) == (tenant["id"], "ada.example", "active")
    assert [call.action for call in system.world.calls] == ["create", "suspend", "resume"]
    assert await system.trouble() == []
    assert (await system.inbox.subscription("sub_2"))["status"] == "active"

    await system.make_due()
    assert (await system.run()).done
    assert system.world.of(ended) == {"hosting": "active"}
    assert [drift async for drift in find_drift(system.pool, system.world.drivers())] == []

    await system.pool.execute(
        "UPDATE tenant_services SET exchanged_at = now() - interval '40 days'"
    )
    await end(system, "sub_2", days_ago=31)
    assert system.world.of(ended) == {}


async def test_nothing_of_another_customer_is_taken_over(
    system: ProvisioningSystem, ended: UUID
) -> None:
    id_ = await order(system, "sub_2", vouched=True)
    await system.pool.execute(
        "WITH other AS (INSERT INTO customers (email) VALUES ('eve@example.com') RETURNING id)"
        " UPDATE subscriptions SET customer_id = other.id FROM other WHERE subscriptions.id = $1",
        id_,
    )
    tenant = await tenant_of(system, ended)
    assert (await system.run("sub_2")).done
    assert system.world.of(ended) == {"hosting": "suspended"}
    assert (await tenant_of(system, id_))["domain"] != "ada.example"
    with pytest.raises(ConflictError, match="another customer"):
        await adopt(system.pool, id_, tenant["id"], OPERATOR)


async def test_a_tenant_that_an_operator_has_suspended_is_not_taken_over(
    system: ProvisioningSystem, ended: UUID
) -> None:
    await suspend(system.pool, ended, reason="spam", operator="ada")
    id_ = await order(system, "sub_2", vouched=True)
    assert (await system.run("sub_2")).done
    assert system.world.of(ended) == {"hosting": "suspended"}
    assert (await tenant_of(system, id_))["domain"] != "ada.example"


async def test_an_unvouched_order_gets_its_own_tenant_until_an_operator_joins_them(
    system: ProvisioningSystem, ended: UUID
) -> None:
    tenant, had = await tenant_of(system, ended), await accounts(system, ended)
    id_ = await order(system, "sub_2", vouched=False)
    assert (await system.run("sub_2")).done
    own, made = await tenant_of(system, id_), await accounts(system, id_)
    assert own["domain"].endswith(".panel.test")
    [trouble] = await system.trouble()
    assert f"provision adopt sub_2 --tenant {tenant['id']}" in trouble["detail"]

    await adopt(system.pool, id_, tenant["id"], OPERATOR)
    assert (await system.run("sub_2")).done
    assert (await system.run()).done
    assert await accounts(system, id_) == had
    assert await accounts(system, ended) == made
    assert system.world.of(ended) == {"hosting": "active"}
    assert system.world.of(id_) == {"hosting": "suspended"}, "it is kept for the retention"
    assert (await tenant_of(system, id_))["domain"] == "ada.example"
    assert (await tenant_of(system, ended))["id"] == own["id"]
    assert await system.trouble() == []
    assert (await system.work())["wake_at"] > datetime.now(UTC) + timedelta(days=29)

    await adopt(system.pool, id_, tenant["id"], OPERATOR)
    audited = await system.pool.fetch("SELECT action, details FROM billing_audit_log")
    assert [row["action"] for row in audited] == ["subscription.adopt"]
    with pytest.raises(ConflictError):
        await adopt(system.pool, id_, own["id"], OPERATOR)


async def test_a_run_of_the_ended_subscription_that_is_under_way_changes_nothing_any_more(
    system: ProvisioningSystem, ended: UUID
) -> None:
    await system.pool.execute(
        "UPDATE provisioning_work SET lease_token = gen_random_uuid(),"
        " leased_until = now() + interval '1 minute' WHERE subscription_id = $1",
        ended,
    )
    await order(system, "sub_2", vouched=True)
    assert (await system.run("sub_2")).done
    assert system.world.of(ended) == {"hosting": "active"}
    services = await system.pool.fetch(
        "SELECT 1 FROM tenant_services WHERE subscription_id = $1", ended
    )
    assert services == []


async def test_what_cannot_be_joined_is_refused_with_the_reason(
    system: ProvisioningSystem, ended: UUID
) -> None:
    tenant = await tenant_of(system, ended)
    id_ = await order(system, "sub_2", vouched=False)
    assert (await system.run("sub_2")).done
    with pytest.raises(NotFoundError):
        await adopt(system.pool, id_, id_, OPERATOR)
    own = await tenant_of(system, id_)
    with pytest.raises(ConflictError, match="has not ended"):
        await adopt(system.pool, ended, own["id"], OPERATOR)
    await end(system, "sub_1", days_ago=31)
    with pytest.raises(ConflictError, match="have been terminated"):
        await adopt(system.pool, id_, tenant["id"], OPERATOR)


async def test_a_subscription_takes_over_only_one(system: ProvisioningSystem, ended: UUID) -> None:
    other = await order(system, "sub_2", vouched=False)
    assert (await system.run("sub_2")).done
    await end(system, "sub_2")
    id_ = await order(system, "sub_3", vouched=True)
    assert (await system.run("sub_3")).done
    assert (await tenant_of(system, id_))["domain"] == "ada.example"
    tenant = await tenant_of(system, other)
    with pytest.raises(ConflictError, match="has been taken over before"):
        await adopt(system.pool, id_, tenant["id"], OPERATOR)
    assert [row["predecessor_id"] for row in await system.pool.fetch(TAKEOVERS)] == [ended]


async def revive(system: ProvisioningSystem, ended: UUID) -> UUID:
    """Revive a subscription, as far as our rows say; its event has not come yet."""
    successor = uuid4()
    async with transaction(system.pool) as conn:
        assert await repository.subscriptions.plan_revival(conn, ended, successor)
    return successor


async def test_a_payment_that_comes_after_the_revival_is_trouble_again(
    system: ProvisioningSystem, ended: UUID
) -> None:
    """The revival is billed from the end of the time that was paid when it was asked for."""
    late = {"billing_reason": "subscription_cycle", "created": days_ago(40)}
    paid = {"status_transitions": {"paid_at": days_ago(1)}}
    await system.deliver_invoice("paid", "in_2", **late, **paid)
    assert await system.troubles() == ["paid_after_end"]
    metadata = {"subscriptionId": str(await revive(system, ended))}
    await system.deliver_subscription("active", id_="sub_2", metadata=metadata)
    assert (await system.run("sub_2")).done
    assert await system.troubles() == []
    await system.deliver_invoice("paid", "in_3", **late, **paid)
    [trouble] = await system.trouble()
    assert (trouble["trouble"], "in_3" in trouble["detail"]) == ("paid_after_end", True)


async def test_a_revival_that_is_also_adopted_settles_what_was_paid_late(
    system: ProvisioningSystem, ended: UUID
) -> None:
    late = {"billing_reason": "subscription_cycle", "created": days_ago(40)}
    await system.deliver_invoice(
        "paid", "in_2", **late, status_transitions={"paid_at": days_ago(1)}
    )
    tenant = await tenant_of(system, ended)
    metadata = {"subscriptionId": str(await revive(system, ended))}
    await system.deliver_subscription("active", id_="sub_2", metadata=metadata)
    await adopt(system.pool, await system.id_of("sub_2"), tenant["id"], OPERATOR)
    assert (await system.run("sub_2")).done
    assert await system.troubles() == []


async def test_a_revived_customer_gets_new_accounts_if_the_old_ones_are_gone_meanwhile(
    system: ProvisioningSystem, ended: UUID
) -> None:
    metadata = {"subscriptionId": str(await revive(system, ended))}
    await end(system, "sub_1", days_ago=31)
    assert system.world.of(ended) == {}
    await system.deliver_subscription("active", id_="sub_2", metadata=metadata)
    assert (await system.run("sub_2")).done
    assert system.world.of(await system.id_of("sub_2")) == {"hosting": "active"}
    assert (await system.inbox.subscription("sub_2"))["status"] == "active"


async def test_a_revival_that_is_alive_at_stripe_is_not_displaced_by_an_order(
    system: ProvisioningSystem, ended: UUID
) -> None:
    had = await accounts(system, ended)
    metadata = {"subscriptionId": str(await revive(system, ended))}
    await system.deliver_subscription("active", id_="sub_2", metadata=metadata)
    other = await order(system, "sub_3", vouched=True)
    assert (await system.run("sub_3")).done
    assert (await tenant_of(system, other))["domain"] != "ada.example"
    assert (await system.run("sub_2")).done
    assert await accounts(system, await system.id_of("sub_2")) == had


async def test_a_takeover_by_what_has_ended_is_dropped(
    system: ProvisioningSystem, ended: UUID
) -> None:
    metadata = {"subscriptionId": str(await revive(system, ended))}
    await system.deliver_subscription("canceled", id_="sub_2", metadata=metadata)
    assert (await system.run("sub_2")).done
    assert await system.pool.fetch(TAKEOVERS) == []
    await order(system, "sub_3", vouched=True)
    assert (await system.run("sub_3")).done
    assert system.world.of(ended) == {"hosting": "active"}


async def test_a_name_whose_price_was_given_back_comes_with_the_accounts_that_have_it(
    system: ProvisioningSystem,
) -> None:
    """Both rows are of one name: the run failed on them, each time, and did nothing else."""
    ended = await order(system, "sub_1", vouched=True)
    assert (await system.run()).done
    id_ = await order(system, "sub_2", vouched=True)
    assert (await system.run("sub_2")).done
    await system.pool.execute(
        "UPDATE billing_domains SET given_back_at = now() WHERE state = 'failed'"
    )
    tenant = await tenant_of(system, ended)
    await end(system)
    await adopt(system.pool, id_, tenant["id"], OPERATOR)
    assert (await system.run("sub_2")).done
    assert (await tenant_of(system, id_))["domain"] == "ada.example"
    rows = await system.pool.fetch("SELECT subscription_id, state FROM billing_domains")
    assert [tuple(row) for row in rows] == [(id_, "active")]
