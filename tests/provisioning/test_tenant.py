"""One tenant for a subscription, with a domain that no other tenant has."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mpanel_billing.provisioning.operations import list_timeline
from mpanel_billing.provisioning.tenant import fallback_domains, tenant_name
from mpanel_billing.provisioning.work import Buyer
from tests.provisioning.conftest import ProvisioningSystem

SUBSCRIPTION = UUID("0b54d8a6-7d3a-4c34-9f53-0a1b2c3d4e5f")


async def order_domain(system: ProvisioningSystem, mode: str, value: str, *further: str) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.pool.execute(
        "UPDATE subscriptions SET metadata = $1",
        {"domainMode": mode, "domainValue": value, "furtherDomains": list(further)},
    )


async def domain_of(system: ProvisioningSystem) -> str:
    row = await system.inbox.row(
        "SELECT t.domain FROM tenants AS t JOIN subscriptions AS s ON s.tenant_id = t.id"
    )
    domain: str = row["domain"]
    return domain


async def test_the_ordered_domain_is_the_tenants(system: ProvisioningSystem) -> None:
    await order_domain(system, "register", "xn--bcher-kva.example")
    assert (await system.run()).done
    assert await domain_of(system) == "xn--bcher-kva.example"
    assert system.world.calls[0].details["domain"] == "xn--bcher-kva.example"
    assert (await system.work())["trouble"] is None


async def test_a_domain_of_another_tenant_is_not_shared_but_shown_as_trouble(
    system: ProvisioningSystem,
) -> None:
    await system.pool.execute("INSERT INTO tenants (name, domain) VALUES ('Other', 'ada.example')")
    await order_domain(system, "existing", "ada.example")
    assert (await system.run()).done
    domain = await domain_of(system)
    assert domain.endswith(".panel.test")
    owners = await system.pool.fetch("SELECT name FROM tenants WHERE domain = 'ada.example'")
    assert [row["name"] for row in owners] == ["Other"]
    detail = await system.pool.fetchval(
        "SELECT detail FROM billing_trouble WHERE trouble = 'work_failed'"
    )
    assert "ada.example belongs to another tenant" in detail
    assert domain in detail


@pytest.mark.parametrize("value", ["", "Not A Domain!!", "-x.example", "nodots", "a" * 300 + ".eu"])
async def test_an_invalid_domain_gets_a_name_under_ours(
    system: ProvisioningSystem, value: str
) -> None:
    await order_domain(system, "existing", value)
    assert (await system.run()).done
    assert (await domain_of(system)).endswith(".panel.test")


async def test_the_hosting_service_gets_the_domains_to_register_or_transfer(
    system: ProvisioningSystem,
) -> None:
    await order_domain(system, "register", "ada.example", "ada.eu", "ada.shop")
    assert (await system.run()).done
    details = system.world.calls[0].details
    assert (details["domain"], details["domainMode"]) == ("ada.example", "register")
    assert details["furtherDomains"] == ["ada.eu", "ada.shop"]


async def test_a_domain_of_another_tenant_is_never_registered(
    system: ProvisioningSystem,
) -> None:
    await system.pool.execute("INSERT INTO tenants (name, domain) VALUES ('Other', 'ada.example')")
    await order_domain(system, "transfer", "ada.example")
    assert (await system.run()).done
    assert system.world.calls[0].details["domainMode"] == "later"


async def test_a_buyer_who_decides_later_gets_a_name_under_ours(system: ProvisioningSystem) -> None:
    await order_domain(system, "later", "")
    assert (await system.run()).done
    assert (await domain_of(system)).endswith(".panel.test")
    assert (await system.work())["trouble"] is None


async def test_if_a_name_under_ours_is_taken_a_free_one_is_used(
    system: ProvisioningSystem,
) -> None:
    await order_domain(system, "later", "")
    id_ = await system.id_of()
    readable, unique = fallback_domains(Buyer(None, None, None), id_, "panel.test")
    await system.pool.execute("INSERT INTO tenants (name, domain) VALUES ('Other', $1)", readable)
    assert (await system.run()).done
    assert await domain_of(system) == unique


async def test_a_tenant_that_a_crash_left_unlinked_is_found_again(
    system: ProvisioningSystem,
) -> None:
    await order_domain(system, "later", "")
    await system.pool.execute(
        "INSERT INTO tenants (name, domain, billing_subscription_id) VALUES ('Ada', 'a.eu', $1)",
        await system.id_of(),
    )
    assert (await system.run()).done
    assert await domain_of(system) == "a.eu"
    assert await system.pool.fetchval("SELECT count(*) FROM tenants") == 1


async def end_with_domain(system: ProvisioningSystem, *, days_ago: int) -> None:
    """End the subscription that has ada.example so many days ago, and provision that."""
    await order_domain(system, "existing", "ada.example")
    assert (await system.run()).done
    ended_at = int((datetime.now(UTC) - timedelta(days=days_ago)).timestamp())
    await system.deliver_subscription("canceled", ended_at=ended_at, canceled_at=ended_at)
    await system.run()


async def test_a_tenant_whose_services_are_terminated_gives_up_its_domain_for_a_new_order(
    system: ProvisioningSystem,
) -> None:
    await end_with_domain(system, days_ago=31)
    ended = await system.inbox.row("SELECT * FROM tenants")
    assert (ended["status"], ended["billing_former_domain"]) == ("cancelled", "ada.example")
    assert ended["domain"] == f"ended-{ended['id']}.invalid"
    history = await list_timeline(system.pool, await system.id_of())
    assert ("tenant", "ada.example") in [(entry.kind, entry.what) for entry in history]

    await system.deliver_subscription("active", id_="sub_2")
    await system.deliver_invoice("paid", "in_2", subscription="sub_2")
    await system.pool.execute(
        "UPDATE subscriptions SET metadata = $1 WHERE stripe_subscription_id = 'sub_2'",
        {"domainMode": "existing", "domainValue": "ada.example"},
    )
    assert (await system.run("sub_2")).done
    tenants = await system.pool.fetch("SELECT status FROM tenants WHERE domain = 'ada.example'")
    assert [row["status"] for row in tenants] == ["active"]
    assert await system.pool.fetch("SELECT * FROM billing_trouble") == []


async def test_within_retention_the_tenant_keeps_its_domain(system: ProvisioningSystem) -> None:
    await end_with_domain(system, days_ago=29)
    assert await domain_of(system) == "ada.example"


async def test_a_domain_is_given_up_only_once_the_termination_is_certain(
    system: ProvisioningSystem,
) -> None:
    await order_domain(system, "existing", "ada.example")
    assert (await system.run()).done
    system.world.misbehave("hosting", "fail_before", "fail_before")
    ended_at = int((datetime.now(UTC) - timedelta(days=31)).timestamp())
    await system.deliver_subscription("canceled", ended_at=ended_at, canceled_at=ended_at)
    assert not (await system.run()).done
    assert await domain_of(system) == "ada.example"
    await system.make_due()
    assert not (await system.run()).done
    await system.make_due()
    assert (await system.run()).done
    assert (await domain_of(system)).startswith("ended-")


def test_names_are_made_of_company_or_buyer() -> None:
    ada = Buyer("ada@example.com", "Ada Lovelace", None)
    muller = Buyer(None, "Ada", "Müller & Söhne GmbH ✨ " + 50 * "x")
    assert tenant_name(ada) == "Ada Lovelace"
    assert tenant_name(Buyer(None, None, None)) == "New customer"
    assert fallback_domains(ada, SUBSCRIPTION, "p.test") == (
        "ada-lovelace-0b54d8a6.p.test",
        "tenant-0b54d8a67d3a4c349f530a1b2c3d4e5f.p.test",
    )
    readable = fallback_domains(muller, SUBSCRIPTION, "p.test")[0]
    assert readable.startswith("muller-sohne-gmbh-")
    assert len(readable.split(".")[0]) <= 63
    assert fallback_domains(Buyer(None, "✨", None), SUBSCRIPTION, "p.test")[0].startswith(
        "tenant-"
    )
