"""Stories in which every type is sent: what is sent is what docs/message-examples.json shows."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.domains.proof import ProofRules
from mpanel_billing.messages import repository
from mpanel_billing.messages.types import TYPES
from mpanel_billing.provisioning.converge import provision_tenant_for_subscription
from mpanel_billing.provisioning.proofs import ProofChecks, check_due
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.price_announcements import announce_migration
from mpanel_billing.subscriptions.repository import tax_notices
from mpanel_billing.usage.model import Record
from mpanel_billing.usage.records import take_records
from tests.inline_worker import GRACE, RETENTION
from tests.messages.conftest import OPERATOR, Life, Panel, send_due
from tests.messages.examples import hold, read_examples
from tests.nameservers import NameServers
from tests.subscriptions.conftest import GOOD_CARD, NO_FUNDS_LATER, Backend
from tests.subscriptions.domain_years import sell
from tests.subscriptions.test_price_migration import migration
from tests.usage.conftest import metered_file

PURCHASE = (
    *("order.placed", "subscription.activated", "invoice.created", "invoice.paid"),
    *("tenant.ready", "subscription.changed", "tenant.changed"),
)
MONEY = (
    *("refund.created", "refund.succeeded", "refund.failed"),
    *("dispute.created", "dispute.escalated", "dispute.answered", "dispute.won", "dispute.lost"),
)
DEBT = (
    *("invoice.upcoming", "subscription.renewed", "invoice.failed", "subscription.past_due"),
    *("credit_note.created", "credit_note.voided"),
    *("subscription.suspended", "tenant.suspended", "subscription.resumed", "tenant.resumed"),
    *("subscription.cancelled", "subscription.kept", "subscription.ended", "tenant.terminated"),
)
AHEAD = ("trial.ending", "card.expiring", "price.changing", "tax.starting")
DOMAINS = ("domain.expiring", "domain.expired")
USAGE = ("usage.threshold_reached", "usage.limit_reached")
PROOFS = ("domain.verification_needed", "domain.verification_expired", "domain.verified")

MONTH = 32 * 86_400


def test_each_type_has_an_example_that_a_story_holds() -> None:
    told = [*PURCHASE, *MONEY, *DEBT, *AHEAD, *DOMAINS, *USAGE, *PROOFS]
    assert sorted(told) == sorted(TYPES) == list(read_examples())


@pytest.fixture
async def panel(panel: Panel, life: Life) -> AsyncIterator[Panel]:
    await panel.add(life.pool)
    yield panel
    assert await life.pool.fetch(PERSONAL) == []


PERSONAL = """
    SELECT m.type, held.word
    FROM billing_messages AS m
    JOIN (
        SELECT name FROM customers
        UNION SELECT email FROM customers
        UNION SELECT domain FROM tenants
        UNION SELECT name FROM billing_domains
        UNION SELECT unicode_name FROM billing_domains
    ) AS held (word) ON strpos(m.data::text, held.word) > 0"""
"""What is kept of a message after an erasure names nobody: that is added when it is sent."""


async def bought(life: Life) -> Any:
    await life.buy()
    return await life.service.row("SELECT * FROM subscriptions")


async def pass_by(life: Life, seconds: int) -> datetime:
    """Let time go by at Stripe; return what its clock says then."""
    stripe = life.service.stripe
    moment = await stripe.advance_time(await stripe.now() + seconds)
    await life.worker.catch_up()
    return datetime.fromtimestamp(moment, UTC)


async def test_a_purchase_and_another_plan(life: Life, panel: Panel) -> None:
    subscription = await bought(life)
    await send_due(life.sender)
    api, pool = life.worker.gateway.client.v1, life.pool
    price = await pool.fetchval(
        "SELECT stripe_price_id FROM prices WHERE lookup_key = 'premium_monthly_usd'"
    )
    item = await pool.fetchval(
        "SELECT stripe_subscription_item_id FROM subscription_items AS i"
        " JOIN products ON products.stripe_product_id = i.stripe_product_id WHERE kind = 'plan'"
    )
    id_ = subscription["stripe_subscription_id"]
    await api.subscriptions.update_async(id_, {"items": [{"id": item, "price": price}]})
    await life.worker.catch_up()
    await send_due(life.sender)
    hold(panel.got, PURCHASE)


async def test_money_that_is_given_and_taken_back(life: Life, panel: Panel) -> None:
    await bought(life)
    api, stripe = life.worker.gateway.client.v1, life.service.stripe
    [first] = (await api.charges.list_async()).data
    refund = await api.refunds.create_async({"charge": first.id, "amount": 100})
    await life.worker.catch_up()
    await stripe.fail_refund(refund.id)
    asked = await stripe.dispute(first.id, status="warning_needs_response")
    await life.worker.catch_up()
    await stripe.decide_dispute(asked, "escalated")
    await life.worker.catch_up()
    evidence: Any = {"evidence": {"uncategorized_text": "It was served."}, "submit": True}
    await api.disputes.update_async(asked, evidence)
    await life.worker.catch_up()
    await stripe.decide_dispute(asked, "won")
    await pass_by(life, MONTH)
    second = (await api.charges.list_async()).data[0]
    await stripe.decide_dispute(await stripe.dispute(second.id), "lost")
    await life.worker.catch_up()
    await send_due(life.sender)
    hold(panel.got, MONEY)


async def test_a_debt_that_is_paid_and_an_end(life: Life, panel: Panel) -> None:
    subscription = await bought(life)
    api, stripe = life.worker.gateway.client.v1, life.service.stripe
    id_ = subscription["stripe_subscription_id"]
    await pass_by(life, MONTH)
    await stripe.replace_card(subscription["stripe_customer_id"], NO_FUNDS_LATER)
    unpaid = await pass_by(life, MONTH)
    invoice = (await api.invoices.list_async({"status": "open"})).data[0].id
    note = await api.credit_notes.create_async({"invoice": invoice, "amount": 100})
    await api.credit_notes.void_credit_note_async(note.id)
    await life.worker.catch_up()
    await provision(life, subscription["id"], unpaid + GRACE)
    await send_due(life.sender)
    await stripe.replace_card(subscription["stripe_customer_id"], GOOD_CARD)
    await api.invoices.pay_async(invoice)
    await life.worker.catch_up()
    for ends in (True, False):
        await api.subscriptions.update_async(id_, {"cancel_at_period_end": ends})
        await life.worker.catch_up()
    await api.subscriptions.cancel_async(id_)
    await life.worker.catch_up()
    await provision(life, subscription["id"], unpaid + RETENTION + timedelta(days=1))
    await send_due(life.sender)
    hold(panel.got, DEBT)


async def provision(life: Life, subscription_id: Any, moment: datetime) -> None:
    """Do what is due for a subscription at a later moment."""
    later = replace(life.worker.provisioning, clock=lambda: moment)
    await provision_tenant_for_subscription(later, subscription_id)


async def test_what_is_announced(life: Life, panel: Panel) -> None:
    service, today = life.service, datetime.now(UTC)
    page = await service.order(life.order)
    await service.stripe.pay(page["url"], expiry=f"{today:%m / %y}")
    await life.worker.catch_up()
    pool = life.pool
    await announce_migration(pool, await migration(Backend(service, life.worker)), OPERATOR)
    subscription = await pool.fetchval("SELECT id FROM subscriptions")
    async with transaction(pool) as conn:
        sums = {"total_before": 1298, "total": 1405, "tax": 107}
        await tax_notices.tell(
            conn, subscription, "usd", **sums, notice_days=30, told_by="cli:grace@panel"
        )
    grace = {"email": "grace@example.com", "name": "Grace Hopper"}
    page = await service.order_elsewhere(life.order | {"trialActive": True, "customer": grace})
    await service.stripe.pay(page["url"], email=grace["email"])
    await life.worker.catch_up()
    id_ = await pool.fetchval(
        "SELECT stripe_subscription_id FROM subscriptions WHERE stripe_status = 'trialing'"
    )
    soon: Any = {"trial_end": int((today + timedelta(days=2)).timestamp())}
    await life.worker.gateway.client.v1.subscriptions.update_async(id_, soon)
    await life.worker.catch_up()
    async with acquired(pool) as conn:
        await repository.record_trial_endings(conn, 3)
        await repository.record_expiring_cards(conn, 31)
    await send_due(life.sender)
    hold(panel.got, AHEAD)


async def test_a_domain_expires(life: Life, panel: Panel) -> None:
    backend = Backend(life.service, life.worker)
    years = await sell(backend, life.order, billingCycle="triennially")
    await backend.give_card(years.subscription, NO_FUNDS_LATER)
    for days in (29, -60):
        await years.before_expiry(days)
    await send_due(life.sender)
    hold(panel.got, DOMAINS)


async def test_usage_reaches_a_threshold(life: Life, panel: Panel) -> None:
    await apply_catalogue(life.pool, metered_file())
    await push_catalogue(life.pool, StripeCatalogue(life.worker.gateway.client), livemode=False)
    life.order |= {"addonIds": ["traffic"]}
    subscription = (await bought(life))["id"]
    for number, quantity in enumerate((40, 30, 15, 200, 1, 4800, 1)):
        used = Record(f"record-{number}", subscription, "traffic_gb", quantity, datetime.now(UTC))
        await take_records(life.pool, [used, used], CustomerRef(), livemode=False)
    await send_due(life.sender)
    hold(panel.got, USAGE)
    told = [one["data"]["usage"] for one in panel.got if one["type"] == USAGE[0]]
    assert [(one["threshold"], one["quantity"]) for one in told] == [(80, 85), (100, 285)]
    limits = [one["data"]["usage"] for one in panel.got if one["type"] == USAGE[1]]
    assert [(one["limit"], one["action"], one["quantity"]) for one in limits] == [
        (5000, "suspend", 5086)
    ]


async def test_a_domain_is_proven_late(life: Life, panel: Panel, nameservers: NameServers) -> None:
    home = "127.0.0.3"
    nameservers.host("ada.com", home)
    rules = ProofRules(wait=timedelta(0))
    provisioning = replace(life.worker.provisioning, proof_rules=rules)
    life.worker = replace(life.worker, provisioning=provisioning)
    life.order |= {"domain": {"mode": "existing", "value": "ada.com"}}
    await life.buy()
    await send_due(life.sender)
    checks = ProofChecks(provisioning.pool, nameservers.access, rules)
    due = "UPDATE billing_domain_proofs SET check_at = now()"
    await life.pool.execute(due)
    assert await check_due(checks) == 0
    await send_due(life.sender)
    proof = await life.pool.fetchval("SELECT billing_proof_asked_v1(id) FROM billing_domains")
    nameservers.prove(proof, "ada.com", home)
    await life.pool.execute(due)
    assert await check_due(checks) == 1
    await life.worker.catch_up()
    await send_due(life.sender)
    hold(panel.got, PROOFS)
