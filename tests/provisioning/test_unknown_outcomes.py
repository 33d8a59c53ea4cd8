"""A command of unknown outcome may have been carried out, whatever the next answer is."""

from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.drivers.protocol import Account, Found, Unknown
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.world import World


async def _hold(system: ProvisioningSystem) -> None:
    await operations.suspend(system.pool, await system.id_of(), reason="abuse", operator="grace")


async def _lift(system: ProvisioningSystem) -> None:
    await operations.lift(system.pool, await system.id_of(), operator="grace")


async def _create_with_unknown_outcome_and_refusal(system: ProvisioningSystem) -> None:
    """Create an account without an answer; the repetition is refused."""
    system.world.misbehave("hosting", "fail_after", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    assert not (await system.run()).done
    await system.make_due()
    await system.run()


async def test_an_account_that_was_made_without_an_answer_is_found_when_it_is_refused(
    system: ProvisioningSystem,
) -> None:
    await _create_with_unknown_outcome_and_refusal(system)
    service = await system.service()
    assert (service["actual"], service["pending_action"], service["stopped"]) == (
        "active",
        None,
        None,
    )
    assert (await system.inbox.subscription())["status"] == "active"
    await _hold(system)
    assert (await system.run()).done
    assert system.world.of(await system.id_of()) == {"hosting": "suspended"}


async def test_while_the_service_cannot_say_the_outcome_stays_unknown(
    system: ProvisioningSystem,
) -> None:
    class Silent(World):
        async def inspect(self, account: Account) -> Found | Unknown:
            return Unknown("HTTP 404", permanently=True)

    silent = Silent()
    system.world = silent
    system.provisioning = type(system.provisioning)(
        **{
            **{name: getattr(system.provisioning, name) for name in system.provisioning.__slots__},
            "drivers": silent.drivers(),
        }
    )
    await _create_with_unknown_outcome_and_refusal(system)
    service = await system.service()
    assert (service["actual"], service["pending_action"], service["stopped"]) == (
        "absent",
        "create",
        "refused",
    )
    await _hold(system)
    await system.run()
    assert silent.of(await system.id_of()) == {"hosting": "suspended"}


async def test_what_was_never_made_stays_refused(system: ProvisioningSystem) -> None:
    system.world.misbehave("hosting", "fail_before", "refuse", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    await system.make_due()
    await system.run()
    service = await system.service()
    assert (service["actual"], service["pending_action"], service["stopped"]) == (
        "absent",
        None,
        "refused",
    )
    assert system.world.of(await system.id_of()) == {}


async def test_a_change_that_was_lost_before_a_suspension_is_made_up_for(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell("starter_monthly_usd")
    system.world.misbehave("hosting", "fail_before")
    await system.deliver_subscription("active", "business_monthly_usd")
    assert not (await system.run()).done
    wanted = (await system.service())["desired_resources"]
    await _hold(system)
    await system.run()
    await _lift(system)
    await system.make_due()
    assert (await system.run()).done
    (account,) = (a for a in system.world.accounts if a.product_type == "hosting")
    assert (account.actual, account.resources) == ("active", wanted)
    assert system.world.of(id_)["hosting"] == "active"


async def test_a_change_that_was_lost_before_a_refused_suspension_is_made_up_for(
    system: ProvisioningSystem,
) -> None:
    await system.sell("starter_monthly_usd")
    system.world.misbehave("hosting", "fail_before", "refuse")
    await system.deliver_subscription("active", "business_monthly_usd")
    await system.run()
    wanted = (await system.service())["desired_resources"]
    await _hold(system)
    await system.run()
    await _lift(system)
    await system.run()
    (account,) = (a for a in system.world.accounts if a.product_type == "hosting")
    assert (account.actual, account.resources) == ("active", wanted)


async def test_a_suspension_without_an_answer_is_undone_although_its_repetition_was_refused(
    system: ProvisioningSystem,
) -> None:
    await system.sell()
    system.world.misbehave("hosting", "fail_after", "refuse")
    await _hold(system)
    await system.run()
    await system.make_due()
    await system.run()
    await _lift(system)
    await system.run()
    assert system.world.of(await system.id_of()) == {"hosting": "active"}


async def test_mail_is_not_made_again_before_the_hosting_account_it_runs_on(
    system: ProvisioningSystem,
) -> None:
    """Both were being terminated when the customer came back."""
    id_ = await system.sell("premium_monthly_usd")
    await system.pool.execute(
        "UPDATE tenant_services SET pending_action = 'terminate', pending_request = '{}',"
        " generation = generation + 1"
    )
    await system.pool.execute("UPDATE provisioning_work SET version = version + 1")
    system.world.misbehave("hosting", "fail_before")
    assert (await system.run()).error == "hosting: HTTP 503; email: waiting for hosting"
    assert system.world.of(id_) == {"hosting": "active"}
    await system.make_due()
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active", "email": "active"}
