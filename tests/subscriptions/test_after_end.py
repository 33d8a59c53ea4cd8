"""After the end of a subscription: open invoices, and payments that come late."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import stripe

from mpanel_billing.provisioning.converge import provision_tenant_for_subscription
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.finishing import Outcome
from tests.inline_worker import GRACE, RETENTION
from tests.subscriptions.conftest import GOOD_CARD, NO_FUNDS_LATER, Backend

MONTH = timedelta(days=32)
RETENTION_IS_OVER = MONTH + RETENTION + timedelta(days=2)


@dataclass
class Ended:
    """A subscription that ended with an unpaid renewal, a month after it was bought."""

    backend: Backend
    id: str
    invoice: str

    async def at_stripe(self) -> stripe.Invoice:
        return await self.backend.worker.gateway.client.v1.invoices.retrieve_async(self.invoice)

    async def pay(self) -> None:
        """Pay the invoice at Stripe an hour later, as the customer still can."""
        driver = self.backend.service.stripe
        await driver.advance_time(await driver.now() + 3600)
        _, customer = await self.backend.stripe_ids(self.id)
        card = await self.backend.service.stripe.replace_card(customer, GOOD_CARD)
        await self.backend.worker.gateway.client.v1.invoices.pay_async(
            self.invoice, {"payment_method": card}
        )

    async def work_after(self, time: timedelta, policy: Policy | None = None) -> Outcome:
        """Let the worker look at it once, so long after it was bought."""
        provisioning = self.backend.worker.provisioning
        later = replace(
            provisioning,
            clock=lambda: datetime.now(UTC) + time,
            policy=policy or provisioning.policy,
        )
        await self.backend.service.pool.execute(
            "UPDATE provisioning_work SET wake_at = now() - interval '1 minute'"
        )
        return await provision_tenant_for_subscription(later, UUID(self.id))

    async def services(self) -> set[str]:
        """Return the states of its accounts."""
        rows = await self.backend.service.pool.fetch("SELECT actual FROM tenant_services")
        return {row["actual"] for row in rows}

    async def trouble(self) -> list[str]:
        rows = await self.backend.service.pool.fetch("SELECT trouble FROM billing_trouble")
        return [row["trouble"] for row in rows]


@pytest.fixture
async def ended(backend: Backend, bought: str) -> Ended:
    await backend.give_card(bought, NO_FUNDS_LATER)
    stripe_client, now = backend.service.stripe, await backend.service.stripe.now()
    await stripe_client.advance_time(now + int(MONTH.total_seconds()))
    await stripe_client.wait_idle()
    await backend.done(f"subscriptions/{bought}/cancel", {"atPeriodEnd": False})
    await backend.worker.catch_up()
    row = await backend.service.row(
        "SELECT stripe_invoice_id FROM invoices WHERE stripe_status = 'open'"
    )
    return Ended(backend, bought, row["stripe_invoice_id"])


async def test_an_open_invoice_is_voided_before_the_accounts_are_terminated(
    ended: Ended,
) -> None:
    await ended.work_after(MONTH + timedelta(days=1))
    watched = "SELECT object_id FROM billing_watch WHERE trouble = 'open_after_end'"
    assert await ended.backend.service.pool.fetchval(watched) == ended.invoice
    assert (await ended.services(), (await ended.at_stripe()).status) == ({"suspended"}, "open")
    assert (await ended.work_after(RETENTION_IS_OVER)).done
    assert (await ended.services(), (await ended.at_stripe()).status) == ({"terminated"}, "void")
    await ended.backend.service.stripe.wait_idle()
    statuses = await ended.backend.service.pool.fetch("SELECT stripe_status FROM invoices")
    assert sorted(row["stripe_status"] for row in statuses) == ["paid", "void"]
    assert await ended.backend.service.pool.fetchval(watched) is None


async def test_where_the_host_keeps_open_invoices_they_can_still_be_paid(ended: Ended) -> None:
    keep = Policy(GRACE, RETENTION, void_invoices_at_end=False)
    assert (await ended.work_after(RETENTION_IS_OVER, keep)).done
    assert (await ended.services(), (await ended.at_stripe()).status) == ({"terminated"}, "open")


@pytest.mark.parametrize("void", [True, False])
async def test_a_late_payment_whose_webhook_was_lost_keeps_the_accounts(
    ended: Ended, *, void: bool
) -> None:
    await ended.backend.service.stripe.set_delivery(hold=True)
    await ended.pay()
    policy = Policy(GRACE, RETENTION, void_invoices_at_end=void)
    assert (await ended.work_after(RETENTION_IS_OVER, policy)).done
    assert await ended.services() == {"suspended"}
    assert "paid_after_end" in await ended.trouble()


async def test_a_lost_dispute_of_the_late_payment_lets_the_accounts_go(ended: Ended) -> None:
    """Nothing of it is kept; while the bank decides, it may be."""
    await ended.pay()
    charges = await ended.backend.worker.gateway.client.v1.charges.list_async({"limit": 1})
    dispute = await ended.backend.service.stripe.dispute(charges.data[0].id)
    await ended.backend.worker.catch_up()
    assert "paid_after_end" in await ended.trouble()
    await ended.backend.service.stripe.decide_dispute(dispute, "lost")
    await ended.backend.worker.catch_up()
    assert "paid_after_end" not in await ended.trouble()
    assert (await ended.work_after(RETENTION_IS_OVER)).done
    assert await ended.services() == {"terminated"}


async def test_a_refund_of_the_late_payment_lets_the_accounts_go(ended: Ended) -> None:
    await ended.pay()
    await ended.backend.worker.catch_up()
    assert "paid_after_end" in await ended.trouble()
    (late, _) = await ended.backend.invoices(ended.id)
    await ended.backend.done(f"invoices/{late['id']}/refund")
    assert await ended.trouble() == []
    assert (await ended.work_after(RETENTION_IS_OVER)).done
    assert await ended.services() == {"terminated"}


@pytest.mark.parametrize("after_work", [False, True])
async def test_nothing_is_terminated_before_stripe_has_voided(
    ended: Ended, *, after_work: bool
) -> None:
    """Whether Stripe was not reached, or its response was lost."""
    await ended.backend.service.stripe.inject_fault(
        "reset", method="POST", path=f"/v1/invoices/{ended.invoice}/void", times=3,
        after_work=after_work,
    )  # fmt: skip
    outcome = await ended.work_after(RETENTION_IS_OVER)
    assert (outcome.done, await ended.services()) == (False, {"suspended"})
    assert ended.invoice in (outcome.error or "")
    assert (await ended.work_after(RETENTION_IS_OVER + timedelta(hours=2))).done
    assert (await ended.services(), (await ended.at_stripe()).status) == ({"terminated"}, "void")
