"""Charges that wait for the end of a trial, at the sandbox."""

from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.finishing import Outcome
from mpanel_billing.provisioning.service_state import domains_in
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from tests.provisioning.conftest import GRACE, RETENTION
from tests.provisioning.world import World
from tests.service import Service, make_settings


@dataclass
class Trial:
    """A trial with a domain and a coupon, bought through the whole service."""

    service: Service
    gateway: StripeGateway
    provisioning: Provisioning
    stripe_id: str
    world: World

    async def run(self) -> Outcome:
        row = await self.service.row("SELECT id FROM subscriptions")
        await self.service.pool.execute("UPDATE provisioning_work SET wake_at = now()")
        return await provision_tenant_for_subscription(self.provisioning, row["id"])

    async def pending_items(self) -> list[tuple[int, str]]:
        page = await self.gateway.client.v1.invoice_items.list_async({"pending": True})
        return [(item.amount, item.description or "") async for item in page.auto_paging_iter()]

    async def coupons(self) -> int:
        stripe = self.gateway.client.v1
        return len((await stripe.subscriptions.retrieve_async(self.stripe_id)).discounts)

    async def update(self, **params: Any) -> None:
        stripe = self.gateway.client.v1
        await stripe.subscriptions.update_async(self.stripe_id, params)  # type: ignore[arg-type]
        await self.service.stripe.wait_idle()
        # two updates of one second may be undecided: then it refetches
        for row in await self.service.pool.fetch("SELECT object_id FROM stripe_refetches"):
            await Mirror(self.service.pool, self.gateway, livemode=False).refetch(row["object_id"])

    async def let_it_end(self) -> None:
        """Let the trial end, and its bill be collected an hour later."""
        stripe = self.service.stripe
        await stripe.advance_time(await stripe.now() + 15 * 24 * 3600)
        await stripe.wait_idle()

    def ordered(self) -> list[tuple[str, list[str]]]:
        """The commands so far, each with the domains that it orders."""
        return [(call.action, list(domains_in(call.details))) for call in self.world.calls]

    async def charge(self, kind: str = "one_time") -> asyncpg.Record:
        return await self.service.row("SELECT * FROM subscription_charges WHERE kind = $1", kind)


@pytest.fixture
async def trial(
    service: Service, settings: Settings, pool: Pool, gateway: StripeGateway, world: World
) -> Trial:
    await service.buy(
        {
            "planId": "starter",
            "billingCycle": "monthly",
            "trialActive": True,
            "addonIds": [],
            "couponCode": "WELCOME10",
            "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
            "domain": {"mode": "register", "value": "adalovelace.com"},
        }
    )
    provisioning = Provisioning(
        pool, gateway, world.drivers(), Policy(GRACE, RETENTION), "panel.test", livemode=False
    )
    row = await service.row("SELECT stripe_subscription_id FROM subscriptions")
    return Trial(service, gateway, provisioning, row["stripe_subscription_id"], world)


async def test_domain_and_coupon_wait_on_the_trials_subscription(trial: Trial) -> None:
    assert await trial.run() == Outcome(done=True)
    ((amount, _),) = await trial.pending_items()
    assert amount == 1299
    assert await trial.coupons() == 1
    assert [(await trial.charge(kind))["state"] for kind in ("one_time", "discount")] == 2 * [
        "attached"
    ]
    await trial.run()
    assert len(await trial.pending_items()) == 1


async def test_a_trial_that_will_end_is_not_billed_for_its_domain(trial: Trial) -> None:
    await trial.run()
    await trial.update(cancel_at_period_end=True)
    assert (await trial.run()).done
    assert await trial.pending_items() == []
    assert (await trial.charge())["state"] == "removed"

    await trial.update(cancel_at_period_end=False)
    assert (await trial.run()).done
    assert len(await trial.pending_items()) == 1
    assert (await trial.charge())["attempt"] == 2


async def test_a_trial_that_ended_at_once_is_not_billed_for_its_domain(trial: Trial) -> None:
    await trial.run()
    await trial.gateway.client.v1.subscriptions.cancel_async(trial.stripe_id)
    await trial.service.stripe.wait_idle()
    assert (await trial.run()).done
    assert await trial.pending_items() == []


async def test_a_trial_cancelled_before_anything_was_attached_gets_nothing(trial: Trial) -> None:
    await trial.update(cancel_at_period_end=True)
    assert (await trial.run()).done
    assert await trial.pending_items() == []
    assert (await trial.charge())["state"] == "waiting"


async def test_a_charge_whose_response_was_lost_is_found_at_stripe(trial: Trial) -> None:
    await trial.run()
    await trial.service.pool.execute(
        "UPDATE subscription_charges SET state = 'waiting', stripe_id = NULL, tried_at = now()"
    )
    before = await trial.charge()
    assert (await trial.run()).done
    assert len(await trial.pending_items()) == 1
    assert await trial.coupons() == 1
    after = await trial.charge()
    assert (after["state"], after["attempt"]) == ("attached", before["attempt"])


async def test_an_outage_of_stripe_does_not_block_provisioning(
    trial: Trial, settings: Settings
) -> None:
    away = open_gateway(make_settings(stripe_api_base="http://127.0.0.1:1"))
    here = trial.provisioning
    trial.provisioning = Provisioning(
        here.pool, away, here.drivers, here.policy, here.tenant_suffix, livemode=False
    )
    outcome = await trial.run()
    await away.close()
    assert not outcome.done
    assert (outcome.error or "").startswith("charges: ")
    row = await trial.service.row("SELECT status FROM subscriptions")
    assert row["status"] == "active"

    trial.provisioning = here
    assert (await trial.run()).done
    assert len(await trial.pending_items()) == 1


async def test_a_subscription_of_the_other_mode_is_left_alone(trial: Trial) -> None:
    here = trial.provisioning
    trial.provisioning = Provisioning(
        here.pool, here.gateway, here.drivers, here.policy, here.tenant_suffix, livemode=True
    )
    outcome = await trial.run()
    assert "other mode" in (outcome.error or "")
    assert await trial.pending_items() == []


async def test_the_domain_is_ordered_once_the_bill_after_the_trial_is_paid(trial: Trial) -> None:
    assert (await trial.run()).done
    assert trial.ordered() == [("create", [])]
    await trial.let_it_end()
    assert (await trial.run()).done
    assert trial.ordered()[1:] == [("change", ["adalovelace.com"])]
    assert (await trial.run()).done
    assert len(trial.ordered()) == 2


async def test_the_domain_of_a_trial_that_ends_unpaid_is_never_ordered(trial: Trial) -> None:
    assert (await trial.run()).done
    await trial.update(cancel_at_period_end=True)
    assert (await trial.run()).done
    await trial.let_it_end()
    assert (await trial.run()).done
    assert trial.ordered() == [("create", []), ("suspend", [])]


async def test_a_domain_that_was_left_out_of_the_bill_is_ordered_with_the_bill_that_has_it(
    trial: Trial,
) -> None:
    """To be about to leave until just before the end buys no domain."""
    assert (await trial.run()).done
    await trial.update(cancel_at_period_end=True)
    assert (await trial.run()).done
    await trial.update(cancel_at_period_end=False)
    await trial.let_it_end()
    assert (await trial.run()).done
    assert trial.ordered() == [("create", [])]
    stripe = trial.service.stripe
    await stripe.advance_time(await stripe.now() + 31 * 24 * 3600)
    await stripe.wait_idle()
    assert (await trial.run()).done
    assert trial.ordered()[1:] == [("change", ["adalovelace.com"])]


async def test_a_charge_whose_answer_was_lost_until_its_bill_was_paid_orders_the_domain(
    trial: Trial,
) -> None:
    assert (await trial.run()).done
    await trial.service.pool.execute(
        "UPDATE subscription_charges SET state = 'waiting', stripe_id = NULL, tried_at = now(),"
        " stripe_created = NULL WHERE kind = 'one_time'"
    )
    await trial.let_it_end()
    assert (await trial.run()).done
    assert trial.ordered()[1:] == [("change", ["adalovelace.com"])]
