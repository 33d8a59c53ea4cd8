"""With a registrar configured, names that buyers have to prove are still no registrar's."""

from mpanel_billing.provisioning.registrar.run import see_to_domain
from tests.nameservers import NameServers
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.domain_shop import open_shop
from tests.provisioning.test_domain_proofs import HOME, check, row_of, sell, told


async def test_a_proven_name_is_the_hosting_services_and_no_registrar_is_asked_for_it(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    nameservers.host("ada.com", HOME)
    async with open_shop(system) as shop:
        id_ = await sell(system)
        row = await row_of(system, id_)
        await see_to_domain(shop.registering, row["id"])
        nameservers.prove(row["proof"], "ada.com", HOME)
        assert await check(system, nameservers) == 1
        row = await row_of(system, id_)
        await see_to_domain(shop.registering, row["id"])
        assert (row["state"], row["driver"], row["next_attempt_at"]) == ("active", None, None)
        assert (shop.registrar.orders, shop.registrar.ledger) == ([], [])
        calls = await system.pool.fetchval("SELECT count(*) FROM billing_registrar_calls")
        assert calls == 0
    served = {"domain": "ada.com", "domainMode": "existing"}
    assert told(system, "hosting")[-1] == ("change", served)


async def test_what_is_registered_beside_a_name_to_be_proven_is_the_registrars_at_once(
    system: ProvisioningSystem, nameservers: NameServers
) -> None:
    """Each row has its own driver, or none: a proof holds up nothing that was paid for."""
    nameservers.host("ada.com", HOME)
    async with open_shop(system) as shop:
        await sell(system, "bob.com", "register", number=2)
        id_ = await sell(system)
        assert [(await row_of(system, id_))["state"], (await shop.row("bob.com"))["state"]] == [
            "verifying",
            "paid",
        ]
        assert ((await row_of(system, id_))["driver"], (await shop.row("bob.com"))["driver"]) == (
            None,
            "http",
        )
