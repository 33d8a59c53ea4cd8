"""One invoice: its lines, the attempts to collect it, and what is done about it."""

from typing import Any

import pytest

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.billed import list_billed
from mpanel_billing.stripe_gateway.invoices import get_sums
from tests.commands import run_command
from tests.subscriptions.conftest import GOOD_CARD, NO_FUNDS_LATER, Backend

DAY = 86_400


@pytest.fixture
async def owed(backend: Backend, bought: str) -> dict[str, Any]:
    """An open invoice for a second term, whose card was declined."""
    await backend.give_card(bought, NO_FUNDS_LATER)
    now = await backend.service.stripe.now()
    await backend.service.stripe.advance_time(now + 32 * DAY)
    await backend.worker.catch_up()
    invoice = (await backend.invoices(bought))[0]
    assert invoice["status"] == "open"
    return invoice


async def test_an_invoice_is_shown_with_its_lines_and_attempts(
    backend: Backend, owed: dict[str, Any]
) -> None:
    response = await backend.get(f"invoices/{owed['id']}/details")
    assert response.status == 200, response.body
    body = response.body
    assert sum(line["amount"] for line in body["lines"]) == body["subtotal"]
    assert body["total"] == body["subtotal"] - body["discount"] + body["tax"] == owed["amountDue"]
    (attempt,) = body["attempts"]
    assert (attempt["status"], attempt["amount"]) == ("failed", owed["amountDue"])
    assert attempt["reason"]


async def test_an_invoice_in_many_parts_has_all_of_its_payments(
    backend: Backend, bought: str, owed: dict[str, Any]
) -> None:
    """Stripe includes ten of them in the invoice; the rest has to be listed."""
    v1 = backend.worker.gateway.client.v1
    _, customer = await backend.stripe_ids(bought)
    card = await backend.service.stripe.replace_card(customer, GOOD_CARD)
    pay: Any = {"amount": 50, "currency": "usd", "customer": customer, "payment_method": card}
    named = "SELECT stripe_invoice_id FROM invoices WHERE id::text = $1"
    stripe_id = await backend.service.pool.fetchval(named, owed["id"])
    await backend.service.stripe.set_delivery(hold=True)
    for _ in range(12):
        intent = await v1.payment_intents.create_async(
            pay | {"confirm": True, "payment_method_types": ["card"]}
        )
        await v1.invoices.attach_payment_async(stripe_id, {"payment_intent": intent.id})
    mirror = Mirror(backend.service.pool, backend.worker.gateway, livemode=False)
    await mirror.refresh("invoice", stripe_id)
    mirrored = "SELECT count(*) FROM invoice_payments WHERE stripe_invoice_id = $1"
    assert await backend.service.pool.fetchval(mirrored, stripe_id) == 13
    sums = await get_sums(backend.worker.gateway, stripe_id)
    subscription_id, _ = await backend.stripe_ids(bought)
    billed, _ = await list_billed(backend.worker.gateway, subscription_id)
    assert len({*sums.payment_intents}) == 13
    assert {*billed.payment_intents} == {*sums.payment_intents}


async def test_where_the_retries_stand_is_told_until_it_is_paid(
    backend: Backend, bought: str, owed: dict[str, Any]
) -> None:
    """To mPanel's backend, in psql, and to support."""
    dunning = (await backend.subscription(bought))["dunning"]
    assert dunning["invoiceId"] == owed["id"]
    assert (dunning["attemptCount"], dunning["amountRemaining"]) == (1, owed["amountDue"])
    assert dunning["nextAttemptAt"] == owed["nextPaymentAttempt"]
    assert "declined" in dunning["lastReason"]
    overview = "SELECT dunning FROM billing_overview WHERE subscription_id::text = $1"
    told = (await backend.service.row(overview, bought))["dunning"]
    assert told.startswith(f"attempt 1 failed: {dunning['lastReason']} Next: 20")
    url = backend.service.settings.database_url.get_secret_value()
    for command in (("find", bought), ("customers", "show", bought)):
        assert told in (await run_command(url, *command)).out
    await backend.done(f"invoices/{owed['id']}/mark-paid", {"reason": "by bank transfer"})
    assert (await backend.subscription(bought))["dunning"] is None
    assert (await backend.service.row(overview, bought))["dunning"] is None


async def test_an_invoice_is_paid_now_and_paying_it_twice_charges_once(
    backend: Backend, bought: str, owed: dict[str, Any]
) -> None:
    path = f"invoices/{owed['id']}/pay"
    declined = await backend.post(path, {"reason": "asked by phone"}, "pay")
    assert declined.status == 402
    await backend.give_card(bought, GOOD_CARD)
    body = await backend.done(path, {"reason": "asked by phone"}, "pay")
    assert (body["changed"], body["invoice"]["status"]) == (True, "paid")
    again = await backend.done(path, {"reason": "asked by phone"}, "pay")
    assert again["invoice"] == body["invoice"]
    assert not (await backend.done(path))["changed"]
    shown = await backend.subscription(bought)
    assert shown["stripeStatus"] == "active"
    await backend.worker.catch_up()
    attempts = (await backend.get(f"invoices/{owed['id']}/details")).body["attempts"]
    assert [one["status"] for one in attempts].count("succeeded") == 1
    assert await backend.audit() == [
        ("invoice.pay", "failed"),
        ("invoice.pay", "done"),
    ]


async def test_another_card_pays_it(backend: Backend, bought: str, owed: dict[str, Any]) -> None:
    _, customer = await backend.stripe_ids(bought)
    v1 = backend.worker.gateway.client.v1
    method = await v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    await v1.payment_methods.attach_async(method.id, {"customer": customer})
    path = f"invoices/{owed['id']}/pay"
    refused = await backend.post(path, {"paymentMethodId": "pm_nobodys"})
    assert (refused.status, [*refused.body["fields"]]) == (422, ["paymentMethodId"])
    body = await backend.done(path, {"paymentMethodId": method.id})
    assert body["invoice"]["status"] == "paid"


@pytest.mark.parametrize(
    ("verb", "status"),
    [("mark-paid", "paid"), ("void", "void"), ("mark-uncollectible", "uncollectible")],
)
async def test_an_invoice_is_settled_otherwise_once(
    backend: Backend, owed: dict[str, Any], verb: str, status: str
) -> None:
    path = f"invoices/{owed['id']}/{verb}"
    body = await backend.done(path, {"reason": "it was agreed"}, "key")
    assert (body["changed"], body["invoice"]["status"]) == (True, status)
    again = await backend.done(path, {"reason": "it was agreed"}, "key")
    assert again["invoice"] == body["invoice"]
    assert not (await backend.done(path, {"reason": "once more"}))["changed"]
    details = "SELECT details #>> '{params,reason}' FROM billing_audit_log ORDER BY id DESC LIMIT 1"
    assert await backend.service.pool.fetchval(details) == "it was agreed"


async def test_an_invoice_that_is_void_cannot_be_paid(
    backend: Backend, owed: dict[str, Any]
) -> None:
    await backend.done(f"invoices/{owed['id']}/void")
    refused = await backend.post(f"invoices/{owed['id']}/pay")
    assert (refused.status, refused.body["code"]) == (409, "invoice_status")


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
async def test_a_lost_response_to_a_payment_is_one_payment(
    backend: Backend, bought: str, owed: dict[str, Any], fault: dict[str, Any]
) -> None:
    await backend.give_card(bought, GOOD_CARD)
    await backend.service.stripe.inject_fault(
        method="POST", path="/v1/invoices/", after_work=True, times=3, **fault
    )
    path = f"invoices/{owed['id']}/pay"
    assert (await backend.post(path, {}, "pay")).status in {502, 503}
    body = await backend.done(path, {}, "pay")
    assert body["invoice"]["status"] == "paid"
    await backend.worker.catch_up()
    paid = (await backend.get(f"invoices/{owed['id']}/details")).body["attempts"]
    assert [one["status"] for one in paid].count("succeeded") == 1


async def test_drafts_are_listed_if_asked_for_and_finalized(backend: Backend, bought: str) -> None:
    end = (await backend.subscription(bought))["currentPeriodEnd"]
    fetch = "SELECT extract(epoch FROM $1::text::timestamptz)::bigint"
    await backend.service.stripe.advance_time(await backend.service.pool.fetchval(fetch, end) + 60)
    await backend.worker.catch_up()
    listed = await backend.get("invoices", subscriptionId=bought, status="draft")
    (draft,) = listed.body["invoices"]
    assert len(await backend.invoices(bought)) == 1
    body = await backend.done(f"invoices/{draft['id']}/finalize")
    assert body["invoice"]["status"] in {"open", "paid"}
    assert not (await backend.done(f"invoices/{draft['id']}/finalize"))["changed"]
    refused = await backend.get("invoices", subscriptionId=bought, status="late")
    assert refused.status == 422


async def test_support_sees_and_settles_invoices_by_command(
    backend: Backend, owed: dict[str, Any]
) -> None:
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)

    async def run(*words: str) -> str:
        ended = await run_command(url, "invoice", *words, stripe_url=stripe_url)
        assert ended.status == 0, ended.err
        return ended.out

    assert "total" in await run("show", owed["id"])
    assert "is uncollectible" in await run("uncollectible", owed["id"], "--reason", "insolvent")
    assert "is paid" in await run("mark-paid", owed["id"], "--reason", "by bank transfer")
    assert "is already paid" in await run("pay", owed["id"], "--reason", "asked by phone")
