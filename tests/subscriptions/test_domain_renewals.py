"""Further years of a domain: charged once, renewed when they are paid, and never at our cost."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from mpanel_billing.errors import ConflictError
from mpanel_billing.messages import receivers
from mpanel_billing.stripe_gateway import domain_charges
from mpanel_billing.subscriptions.domain_renewals import (
    RenewalRules,
    renew_domains,
    settle_renewals,
)
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.owned_domains import DomainRequest, renew_paid
from tests.subscriptions.conftest import GOOD_CARD, NO_FUNDS_LATER, Backend
from tests.subscriptions.domain_years import NAME, Years, sell, years
from tests.subscriptions.test_price_migration import OPERATOR

__all__ = ["years"]  # a fixture

RENEWAL, DEARER = 1299, 1599


@pytest.fixture
async def told(backend: Backend) -> None:
    await receivers.add(
        backend.service.pool,
        OPERATOR,
        name="panel",
        url="http://127.0.0.1:9/",
        types=("*",),
        livemode=False,
    )


async def raise_price(years: Years) -> None:
    await years.backend.service.pool.execute(
        "UPDATE prices SET unit_amount = $1 WHERE active AND billing_cycle IS NULL"
        " AND product_id = (SELECT id FROM products WHERE code = 'domain-com')",
        DEARER,
    )


async def test_five_years_with_a_card_that_fails_and_a_price_that_rises(years: Years) -> None:
    backend, registry = years.backend, years.registry
    first = registry.expires[NAME]
    assert (await years.domain())["renewal_price"] == RENEWAL

    await years.before_expiry(31)
    assert (await years.renewals(), await years.messages()) == ([], [])
    await years.before_expiry(29)
    assert await years.charged() == [(RENEWAL, "paid")]
    assert await years.states() == ["renewed"]
    assert (await years.domain())["state"] == "active"
    await years.before_expiry(6 + 365)
    assert await years.messages() == ["domain.expiring"], "it is renewed already"
    await years.before_expiry(300)

    # year two: the card fails, nobody renews at our cost, then the customer wants it after all
    await backend.give_card(years.subscription, NO_FUNDS_LATER)
    for days in (29, 6):
        await years.before_expiry(days)
    assert await years.states() == ["renewed", "charged"]
    await years.reach(registry.expires[NAME] + timedelta(hours=1))
    assert await years.states() == ["renewed", "unpaid"]
    assert (await years.domain())["state"] == "expired"
    assert await years.charged() == [(RENEWAL, "void"), (RENEWAL, "paid")]
    assert await years.messages() == ["domain.expiring"] * 3 + ["domain.expired"]
    assert len(registry.sold) == 2
    await backend.give_card(years.subscription, GOOD_CARD)
    path = f"domains/{(await years.domain())['id']}"
    refused = await backend.post(f"{path}/renew", {"renewalPrice": RENEWAL - 1})
    assert (refused.status, refused.body["code"]) == (409, "price_changed")
    await backend.done(f"{path}/renew", {"renewalPrice": RENEWAL})
    await years.work()
    assert await years.states() == ["renewed", "renewed"], await years.charged()
    again = await backend.get(path)
    assert again.body["domain"]["latestYear"]["state"] == "renewed"

    # year three: told too late for this year
    await years.before_expiry(40)
    await raise_price(years)
    await years.before_expiry(39)
    assert await years.messages("price.changing") == ["price.changing"]
    await years.before_expiry(29)
    assert (await years.charged())[0] == (RENEWAL, "paid")
    # years four and five: the price that they were told
    for _ in range(2):
        for days in (40, 29):
            await years.before_expiry(days)
        assert (await years.charged())[0] == (DEARER, "paid")
    assert await years.messages("price.changing") == ["price.changing"]

    assert await years.states() == ["renewed"] * 5
    assert registry.expires[NAME].year == first.year + 5
    paid = [total for total, status in await years.charged() if status == "paid"]
    assert paid == [DEARER, DEARER, RENEWAL, RENEWAL, RENEWAL]
    assert len(registry.sold) == 1 + len(paid)


async def test_an_unpaid_domain_is_no_debt_of_the_hosting(
    backend: Backend, order_a: dict[str, Any], told: None
) -> None:
    years = await sell(backend, order_a, billingCycle="triennially")
    await backend.give_card(years.subscription, NO_FUNDS_LATER)
    await years.before_expiry(29)
    assert await years.states() == ["charged"]
    await years.before_expiry(-60)
    assert (await years.domain())["state"] == "expired"
    shown = await backend.subscription(years.subscription)
    assert (shown["status"], shown["stripeStatus"]) == ("active", "active")
    pool = backend.service.pool
    owed = await pool.fetchval("SELECT inputs ->> 'owedSince' FROM provisioning_work")
    assert owed is None
    assert await pool.fetchval("SELECT count(*) FROM billing_unpaid_terms") == 0
    services = await pool.fetch("SELECT DISTINCT actual FROM tenant_services")
    assert [row["actual"] for row in services] == ["active"]


async def reach_draft(years: Years) -> asyncpg.Record:
    """Move on to the draft of the plan's next term; return the renewal, which is a line on it."""
    if not await years.renewals():
        await years.before_expiry(29)
    assert (await years.charged(), await years.states()) == ([], ["due"])
    plan = await years.backend.subscription(years.subscription)
    began = datetime.fromisoformat(plan["currentPeriodEnd"])
    await years.reach(began + timedelta(minutes=15))
    [row] = await years.renewals()
    assert (row["state"], row["params"]["way"]) == ("charged", "plan")
    return row


async def test_it_is_a_line_on_the_invoice_of_the_plan_and_not_on_that_of_an_upgrade(
    backend: Backend, order_a: dict[str, Any], told: None
) -> None:
    years = await sell(backend, order_a, late=10)
    await years.before_expiry(29)
    premium = {"planId": "premium", "billingCycle": "monthly"}
    await backend.done(f"subscriptions/{years.subscription}/change-plan", premium)
    await years.worker.catch_up()
    assert (await backend.charged(years.subscription))["amountPaid"] <= 100, "without the domain"
    await reach_draft(years)
    await years.reach(years.registry.now + timedelta(hours=2))
    plan = await backend.subscription(years.subscription)
    newest = (await backend.invoices(years.subscription))[0]
    assert newest["amountPaid"] == plan["nextCharge"]["amount"] + RENEWAL
    assert (await years.states(), len(years.registry.sold)) == (["renewed"], 2)
    assert await years.charged() == []


async def test_what_waits_for_a_plan_that_will_end_is_charged_alone(
    backend: Backend, order_a: dict[str, Any], told: None
) -> None:
    years = await sell(backend, order_a, late=10)
    await years.before_expiry(29)
    assert (await years.charged(), await years.states()) == ([], ["due"])
    await backend.done(f"subscriptions/{years.subscription}/cancel")
    plan = await backend.subscription(years.subscription)
    ended = datetime.fromisoformat(plan["currentPeriodEnd"]) + timedelta(hours=1)
    await years.reach(ended)
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "paid")], ["renewed"])
    items = await years.worker.gateway.client.v1.invoice_items.list_async({"pending": True})
    assert items.data == []


async def test_a_plan_that_is_paid_by_sent_invoices_has_its_domain_sent_as_well(
    backend: Backend, order_a: dict[str, Any], told: None
) -> None:
    """A bill of the plan may be due only after the domain has expired."""
    years, client = await sell(backend, order_a, late=10), backend.worker.gateway.client.v1
    stripe_id, _ = await backend.stripe_ids(years.subscription)
    sent: Any = {"collection_method": "send_invoice", "days_until_due": 30}
    await client.subscriptions.update_async(stripe_id, sent)
    await years.worker.catch_up()
    await years.before_expiry(29)
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "open")], ["charged"])
    [row] = await years.renewals()
    bill = await client.invoices.retrieve_async(row["stripe_invoice_id"])
    assert bill.due_date is not None
    assert bill.due_date <= years.registry.expires[NAME].timestamp()
    await client.invoices.pay_async(bill.id, {"paid_out_of_band": True})
    await years.work()
    assert await years.states() == ["renewed"]


@pytest.mark.parametrize("seen", [False, True])
async def test_a_line_that_is_taken_off_the_draft_is_not_paid_with_it(
    backend: Backend, order_a: dict[str, Any], told: None, seen: bool
) -> None:
    """It is put there again, or charged alone if nobody has looked before the draft is paid."""
    years = await sell(backend, order_a, late=10)
    row = await reach_draft(years)
    await years.worker.gateway.client.v1.invoice_items.delete_async(row["stripe_item_id"])
    if seen:
        await years.backend.service.pool.execute(
            "UPDATE billing_domain_renewals SET next_attempt_at = now()"
        )
        await years.work()
    await years.reach(years.registry.now + timedelta(hours=2))
    alone = [] if seen else [(RENEWAL, "paid")]
    assert (await years.charged(), await years.states()) == (alone, ["renewed"])
    bills = await backend.invoices(years.subscription)
    assert (bills[0]["amountPaid"] > RENEWAL) == seen
    assert len(years.registry.sold) == 2


async def test_a_line_whose_invoice_is_voided_is_charged_alone(
    backend: Backend, order_a: dict[str, Any], told: None
) -> None:
    years = await sell(backend, order_a, late=10)
    row = await reach_draft(years)
    await backend.give_card(years.subscription, NO_FUNDS_LATER)
    await years.reach(years.registry.now + timedelta(hours=2))
    assert await years.states() == ["charged"]
    await backend.give_card(years.subscription, GOOD_CARD)
    await years.worker.gateway.client.v1.invoices.void_invoice_async(row["stripe_invoice_id"])
    await years.reach(years.registry.now + timedelta(days=1, hours=1))
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "paid")], ["renewed"])


async def test_two_years_of_a_domain_that_are_paid_at_once_stop_nobody(years: Years) -> None:
    await years.backend.give_card(years.subscription, NO_FUNDS_LATER)
    await years.before_expiry(29)
    [row] = await years.renewals()
    await years.backend.service.pool.execute(
        "INSERT INTO billing_domain_renewals"
        " (domain_id, expires_on, state, amount, currency, livemode, pay_by, stripe_invoice_id)"
        " SELECT domain_id, expires_on - 366, 'unpaid', amount, currency, livemode, pay_by,"
        " stripe_invoice_id FROM billing_domain_renewals"
    )
    client = years.worker.gateway.client.v1
    await client.invoices.pay_async(row["stripe_invoice_id"], {"paid_out_of_band": True})
    await years.work()
    assert await years.states() == ["renewed", "renewed"]
    assert len(years.registry.sold) == 2, "the registrar has renewed it once"


async def test_a_year_that_costs_nothing_is_given(years: Years) -> None:
    await years.backend.service.pool.execute(
        "UPDATE prices SET unit_amount = 0 WHERE active AND billing_cycle IS NULL"
        " AND product_id = (SELECT id FROM products WHERE code = 'domain-com')"
    )
    await years.before_expiry(29)
    assert (await years.charged(), await years.states()) == ([], ["renewed"])
    assert (await years.renewals())[0]["amount"] == 0


async def test_an_invoice_is_taken_back_whatever_is_written_on_it(years: Years) -> None:
    await years.backend.give_card(years.subscription, NO_FUNDS_LATER)
    await years.before_expiry(29)
    [row] = await years.renewals()
    edited = {"metadata": {"renewalId": "", "attempt": ""}}
    await years.worker.gateway.client.v1.invoices.update_async(row["stripe_invoice_id"], edited)
    await years.before_expiry(-1)
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "void")], ["unpaid"])


async def test_two_workers_at_one_instant_charge_once(years: Years) -> None:
    row = await years.domain()
    await years.reach(row["expires_at"] - timedelta(days=40))
    near = row["expires_at"] - timedelta(days=20)
    years.registry.now = near
    await years.backend.service.stripe.advance_time(int(near.timestamp()))
    runs = (renew_domains(years.mirror, years.rules, near) for _ in range(6))
    await asyncio.gather(*runs)
    await years.work()
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "paid")], ["renewed"])


@pytest.mark.parametrize("lost", ["/v1/invoices", "/v1/invoiceitems", "/finalize"])
@pytest.mark.parametrize("after_work", [True, False])
async def test_a_worker_that_is_killed_while_it_charges_charges_once(
    years: Years, lost: str, after_work: bool
) -> None:
    """A lost response and a killed process leave the same: an attempt that has begun."""
    await years.backend.service.stripe.inject_fault(
        "reset", method="POST", path=lost, after_work=after_work, times=3
    )
    near = (await years.domain())["expires_at"] - timedelta(days=29)
    for hours in (0, 1, 2):
        await years.reach(near + timedelta(hours=hours))
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "paid")], ["renewed"])


async def test_a_refused_look_at_stripe_is_no_refused_charge(years: Years) -> None:
    """It was charged, and nobody heard of it; then the key may not read for a while."""
    stripe = years.backend.service.stripe
    await stripe.inject_fault("reset", method="POST", path="/finalize", after_work=True, times=3)
    await stripe.inject_fault("status", method="GET", path="/v1/invoices", status=403, times=1)
    near = (await years.domain())["expires_at"] - timedelta(days=29)
    for hours in (0, 1, 2, 3):
        await years.reach(near + timedelta(hours=hours))
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "paid")], ["renewed"])
    assert (await years.renewals())[0]["attempt"] == 1


async def test_a_crash_between_the_charge_and_its_row_charges_once(years: Years) -> None:
    pool = years.backend.service.pool
    await pool.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'killed'; END$$;"
        "CREATE TRIGGER die BEFORE UPDATE ON billing_domain_renewals FOR EACH ROW"
        " WHEN (NEW.state = 'charged') EXECUTE FUNCTION die()"
    )
    near = (await years.domain())["expires_at"] - timedelta(days=29)
    years.registry.now = near
    await years.backend.service.stripe.advance_time(int(near.timestamp()))
    with pytest.raises(Exception, match="killed"):
        await renew_domains(years.mirror, years.rules, near)
    await pool.execute("DROP TRIGGER die ON billing_domain_renewals")
    await pool.execute("UPDATE billing_domain_renewals SET leased_until = NULL")
    await years.work()
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "paid")], ["renewed"])


async def test_what_the_registrar_refuses_for_good_is_given_back(years: Years) -> None:
    years.registry.refuses = "the registry has locked it"
    await years.before_expiry(29)
    assert await years.states() == ["refused"]
    row = (await years.renewals())[0]
    assert row["given_back_at"] is not None
    refund = await years.backend.service.row("SELECT amount, status FROM stripe_refunds")
    assert (refund["amount"], refund["status"]) == (RENEWAL, "succeeded")
    trouble = await years.backend.service.row("SELECT * FROM billing_trouble")
    assert (trouble["trouble"], trouble["object_id"]) == ("domain_not_renewed", NAME)
    assert "locked it" in trouble["detail"]
    assert (await years.domain())["paid_until"] is None
    years.registry.refuses = None
    await years.before_expiry(20)
    assert len(years.registry.sold) == 1, "not renewed at our cost"
    id_ = (await years.domain())["id"]
    await years.backend.done(f"domains/{id_}/renew", {"renewalPrice": RENEWAL})
    await years.work()
    assert await years.states() == ["renewed"], "what was given back can be ordered again"
    assert len(years.registry.sold) == 2
    assert await years.backend.service.pool.fetchval("SELECT count(*) FROM billing_trouble") == 0


async def test_a_refund_that_stripe_refuses_is_asked_for_once(years: Years) -> None:
    years.registry.refuses = "the registry has locked it"
    stripe = years.backend.service.stripe
    await stripe.inject_fault("status", method="POST", path="/v1/refunds", status=400, times=1)
    await years.before_expiry(29)
    await years.before_expiry(28)
    [row] = await years.renewals()
    assert (row["state"], row["given_back_at"], row["next_attempt_at"]) == ("refused", None, None)
    assert row["last_error"].startswith("not refunded: ")
    assert await years.backend.service.pool.fetchval("SELECT count(*) FROM stripe_refunds") == 0


async def test_a_line_that_is_not_on_the_invoice_of_the_plan_refunds_nothing_of_it(
    backend: Backend, order_a: dict[str, Any], told: None
) -> None:
    years = await sell(backend, order_a, late=10)
    years.registry.refuses = "the registry has locked it"
    await backend.service.pool.execute(
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.stripe_item_id = 'ii_elsewhere'; RETURN NEW; END$$;"
        "CREATE TRIGGER forget BEFORE UPDATE ON billing_domain_renewals FOR EACH ROW"
        " WHEN (NEW.state = 'refused') EXECUTE FUNCTION forget()"
    )
    await reach_draft(years)
    await years.reach(years.registry.now + timedelta(hours=2))
    [row] = await years.renewals()
    assert (row["state"], row["given_back_at"]) == ("refused", None)
    assert "has no line of" in row["last_error"]
    assert await backend.service.pool.fetchval("SELECT count(*) FROM stripe_refunds") == 0


async def test_stripe_is_asked_no_more_about_a_line_whose_invoice_was_given_back(
    backend: Backend, order_a: dict[str, Any], told: None
) -> None:
    years = await sell(backend, order_a, late=10)
    renewal = await reach_draft(years)
    invoice = renewal["stripe_invoice_id"]
    v1 = backend.worker.gateway.client.v1
    await v1.invoices.finalize_invoice_async(invoice)
    (payment,) = (await v1.invoice_payments.list_async({"invoice": invoice})).data
    await v1.refunds.create_async({"payment_intent": str(payment.payment.payment_intent)})
    await backend.service.stripe.wait_idle()
    await backend.worker.catch_up()
    asked = len(await backend.service.stripe.requests(path=f"/v1/invoices/{invoice}"))
    for _ in range(3):
        await settle_renewals(years.mirror, years.registry.now)
    assert await years.states() == ["charged"]
    assert len(await backend.service.stripe.requests(path=f"/v1/invoices/{invoice}")) == asked


async def test_an_invoice_is_found_behind_a_hundred_others(
    years: Years, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain_charges, "PAGE_SIZE", 1)
    await years.before_expiry(29)
    [row] = await years.renewals()
    client = years.worker.gateway.client.v1
    paid = await client.invoices.retrieve_async(row["stripe_invoice_id"])
    await client.invoices.create_async({"customer": str(paid.customer)})
    found = await domain_charges.find_invoice(
        years.worker.gateway, str(paid.customer), str(row["id"]), row["attempt"]
    )
    assert found is not None
    assert (found.id, found.status) == (paid.id, "paid")


async def test_an_ordinary_renewal_is_no_trouble_and_shows_in_the_overview(years: Years) -> None:
    pool = years.backend.service.pool
    await years.backend.give_card(years.subscription, NO_FUNDS_LATER)
    await years.before_expiry(29)
    assert await pool.fetchval("SELECT count(*) FROM billing_trouble") == 0
    shown = await pool.fetchval("SELECT domains FROM billing_overview")
    expiry = years.registry.expires[NAME].date()
    assert shown == f"{NAME} active until {expiry}, $12.99 a year, charged"


async def test_who_wants_no_further_year_is_charged_none(years: Years) -> None:
    backend = years.backend
    path = f"domains/{(await years.domain())['id']}"
    await backend.give_card(years.subscription, NO_FUNDS_LATER)
    await years.before_expiry(29)
    shown = await backend.done(f"{path}/auto-renew", {"autoRenew": False})
    assert shown["domain"]["autoRenew"] is False
    await years.work()
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "void")], ["withdrawn"])
    await backend.give_card(years.subscription, GOOD_CARD)
    await backend.done(f"{path}/auto-renew", {"autoRenew": True})
    await years.work()
    assert await years.charged() == [(RENEWAL, "paid"), (RENEWAL, "void")]
    assert await years.states() == ["renewed"]


@pytest.mark.parametrize("outlives", [True, False])
async def test_after_the_end_of_its_plan_it_is_renewed_alone_unless_it_is_let_go(
    backend: Backend, order_a: dict[str, Any], told: None, outlives: bool
) -> None:
    years = await sell(backend, order_a)
    years.rules, expiry = RenewalRules(outlives_plan=outlives), years.registry.expires[NAME]
    stripe_id, _ = await backend.stripe_ids(years.subscription)
    await backend.give_card(years.subscription, NO_FUNDS_LATER)
    await years.worker.gateway.client.v1.subscriptions.cancel_async(stripe_id)
    await backend.give_card(years.subscription, GOOD_CARD)
    await years.before_expiry(200)
    assert (await years.domain())["state"] == "active"
    await years.before_expiry(29)
    await years.reach(expiry + timedelta(hours=1))
    charged = await years.charged()
    if outlives:
        assert (charged, (await years.domain())["state"]) == ([(RENEWAL, "paid")], "active")
    else:
        assert (charged, (await years.domain())["state"]) == ([], "expired")


async def test_an_auth_code_goes_out_once_it_is_on_record(years: Years) -> None:
    backend = years.backend
    id_ = (await years.domain())["id"]
    refused = await backend.post(f"domains/{id_}/transfer-out")
    assert (refused.status, refused.body["code"]) == (409, "not_at_registrar")
    assert backend.service.client.app is not None
    from mpanel_billing.http import keys

    app = backend.service.client.app
    object.__setattr__(app[keys.DRIVERS], "registrar", years.worker.provisioning.drivers.registrar)
    done = await backend.done(f"domains/{id_}/transfer-out")
    assert done["authCode"] == f"code-of-{NAME}"
    assert (await backend.audit())[-2:] == [
        ("domain.transfer_out", "failed"),
        ("domain.transfer_out", "done"),
    ]
    stored = await backend.service.pool.fetch("SELECT * FROM billing_registrar_calls")
    assert "code-of" not in str(stored)


async def test_a_domain_goes_to_another_tenant_of_its_customer_and_to_no_other(
    years: Years, order_a: dict[str, Any]
) -> None:
    backend, pool = years.backend, years.backend.service.pool
    other = await backend.service.buy(order_a | {"customer": {"name": "Eve", "email": "e@e.com"}})
    second = await backend.service.buy(order_a)
    await backend.worker.catch_up()
    id_ = (await years.domain())["id"]
    path = f"domains/{id_}/move"
    for to in (other, second):
        refused = await backend.post(path, {"subscriptionId": to["subscriptionId"]})
        assert (refused.status, refused.body["code"]) == (409, "domain_not_movable")
    await pool.execute("UPDATE tenants SET domain = 'other.test' WHERE domain = $1", NAME)
    moved = await backend.done(path, {"subscriptionId": second["subscriptionId"]})
    assert moved["domain"]["subscriptionId"] == second["subscriptionId"]
    listed = await backend.get("domains", subscriptionId=second["subscriptionId"])
    assert [one["name"] for one in listed.body["domains"]] == [NAME]
    owner = await backend.customer_of(second["subscriptionId"])
    listed = await backend.get("domains", customerId=owner)
    assert [one["id"] for one in listed.body["domains"]] == [str(id_)]
    stranger = await backend.customer_of(other["subscriptionId"])
    hidden = await backend.get(f"domains/{id_}", customerId=stranger)
    assert (hidden.status, hidden.body["code"]) == (404, "unknown_domain")


async def test_nobody_pays_twice_for_a_year_that_they_have_paid_for_by_hand(years: Years) -> None:
    expiry = years.registry.expires[NAME]
    request = DomainRequest(OPERATOR, (await years.domain())["id"], CustomerRef())
    until = expiry + timedelta(days=365)
    await years.backend.give_card(years.subscription, NO_FUNDS_LATER)
    await years.before_expiry(29)
    with pytest.raises(ConflictError, match="is being charged"):
        await renew_paid(years.mirror, request, until=until)
    await years.backend.done(f"domains/{request.id}/auto-renew", {"autoRenew": False})
    with pytest.raises(ConflictError, match="is being charged"):
        await renew_paid(years.mirror, request, until=until)
    await years.work()
    ordered = await renew_paid(years.mirror, request, until=until)
    assert ordered.state == "renewing"
    charged = await years.backend.post(f"domains/{request.id}/renew")
    assert (charged.status, charged.body["code"]) == (409, "renewal_in_progress")
    await years.work()
    assert (await years.charged(), await years.states()) == ([(RENEWAL, "void")], ["withdrawn"])
    assert (await years.domain())["expires_at"] > expiry
    assert len(years.registry.sold) == 2
