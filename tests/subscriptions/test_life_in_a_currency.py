"""A customer's whole life where money has no decimals, or three: every sum is Stripe's."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from mpanel_billing import money
from tests.commands import run_command
from tests.currencies import sell_in_currencies
from tests.subscriptions.conftest import Backend, buy

QUOTE = "/api/checkout/quote"
DAY = 86_400


@dataclass(frozen=True)
class Amounts:
    """What the shop charges in a currency, and what an operator charges and gives back."""

    currency: str
    first: int
    term: int
    work: int
    part: int
    stay: int
    odd: int | None
    shown: str


YEN = Amounts("jpy", first=2717 - 272, term=1962 - 196, work=4999, part=501, stay=310, odd=None,
              shown="\u00a52,445")  # fmt: skip
DINARS = Amounts("kwd", first=5490 - 550, term=3980 - 400, work=4990, part=510, stay=620, odd=505,
                 shown="4.940 KWD")  # fmt: skip


async def renew(backend: Backend, id_: str) -> dict[str, Any]:
    """Let the next term be charged, and return its invoice."""
    end = datetime.fromisoformat((await backend.subscription(id_))["currentPeriodEnd"])
    await backend.service.stripe.advance_time(int(end.timestamp()) + 2 * 3600)
    await backend.worker.catch_up()
    return (await backend.invoices(id_))[0]


async def gets_discounts(backend: Backend, id_: str, life: Amounts) -> dict[str, Any]:
    """Apply a coupon, take an offer to stay, each in its amount; return the last invoice."""
    path = f"subscriptions/{id_}"
    five = await backend.done(f"{path}/preview-apply-coupon", {"couponCode": "FIVE"})
    await backend.done(f"{path}/apply-coupon", {"couponCode": "FIVE"})
    off = await backend.done(f"{path}/preview-remove-coupon", {"coupon": "FIVE"})
    assert off["preview"]["nextTotalThen"] == five["preview"]["nextTotal"]
    assert (await renew(backend, id_))["amountPaid"] == five["preview"]["nextTotalThen"]
    assert (await backend.post(f"{path}/apply-coupon", {"couponCode": "BUCK"})).status == 409
    offer = (await backend.get(f"{path}/retention-offer")).body["offer"]
    assert (offer["currency"], offer["amountOff"]) == (life.currency, life.stay)
    await backend.done(f"{path}/take-offer", {})
    latest = await renew(backend, id_)
    assert latest["amountPaid"] == offer["nextCharge"]
    return latest


async def is_taxed(backend: Backend, id_: str) -> dict[str, Any]:
    """Put 7.7 % on top from now on; return the next invoice, whose sums add up everywhere."""
    stripe_id, _ = await backend.stripe_ids(id_)
    v1 = backend.worker.gateway.client.v1
    rate = await v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 7.7, "inclusive": False}
    )
    await v1.subscriptions.update_async(stripe_id, {"default_tax_rates": [rate.id]})
    latest = await renew(backend, id_)
    row = await backend.service.row(
        "SELECT currency, amount_invoiced, subtotal, tax_amount, total FROM invoices"
        " WHERE id::text = $1",
        latest["id"],
    )
    assert row["subtotal"] + row["tax_amount"] == row["total"]
    assert row["total"] == money.to_decimal(row["amount_invoiced"], row["currency"])
    assert row["tax_amount"] > 0
    return latest


async def refuses_what_cannot_be_charged(backend: Backend, id_: str, odd: int) -> None:
    """Nothing reaches Stripe, and the answer says what to send instead."""
    (invoice, *_) = await backend.invoices(id_)
    customer = await backend.customer_of(id_)
    line = {"description": "Work", "unitAmount": odd}
    for path, body, field in (
        (f"subscriptions/{id_}/charges", line, "unitAmount"),
        (f"subscriptions/{id_}/preview-charge", line, "unitAmount"),
        (f"invoices/{invoice['id']}/refund", {"amount": odd}, "amount"),
        (f"invoices/{invoice['id']}/credit-notes", {"amount": odd, "to": "balance"}, "amount"),
        ("invoices", {"customerId": customer, "currency": "kwd", "lines": [line]},
         "lines[0].unitAmount"),
        ("balance", {"customerId": customer, "currency": "kwd", "amount": odd, "move": "add",
                     "reason": "a gift"}, "amount"),
    ):  # fmt: skip
        refused = await backend.post(path, body)
        assert (refused.status, refused.body.get("fields")) == (
            422,
            {field: "must be a multiple of 10 in KWD"},
        ), path
        assert "0.500 KWD or 0.510 KWD" in refused.body["error"]


@pytest.mark.parametrize("life", [YEN, DINARS], ids=lambda life: life.currency)
async def test_a_whole_life(backend: Backend, order_a: dict[str, Any], life: Amounts) -> None:
    pool, stripe = backend.service.pool, backend.service.stripe
    await sell_in_currencies(pool, backend.worker.gateway)
    order = order_a | {"currency": life.currency, "couponCode": "TEN"}
    quoted = await (await backend.service.client.post(QUOTE, json=order)).json()
    id_ = await buy(backend, order)
    path = f"subscriptions/{id_}"
    (first,) = await backend.invoices(id_)
    assert quoted["dueToday"] == first["amountPaid"] == life.first
    assert (await renew(backend, id_))["amountPaid"] == life.term

    # another plan, as previewed; then a charge with the next invoice
    await stripe.advance_time(await stripe.now() + 10 * DAY)
    premium = {"planId": "premium", "billingCycle": "monthly"}
    shown = await backend.done(f"{path}/preview-change", premium)
    assert shown["currency"] == life.currency
    await backend.done(f"{path}/change-plan", {"previewToken": shown["previewToken"]})
    await backend.worker.catch_up()
    assert (await backend.charged(id_))["amountPaid"] == shown["dueNow"] > 0
    work = {"description": "Migration", "unitAmount": life.work}
    upcoming = (await backend.done(f"{path}/preview-charge", work))["upcomingInvoice"]
    await backend.done(f"{path}/charges", work, "once")
    latest = await renew(backend, id_)
    assert latest["amountPaid"] == upcoming["amountDue"] > life.work

    refused = await backend.post(f"{path}/preview-change", premium | {"planId": "local"})
    assert (refused.status, refused.body["code"]) == (422, "currency_not_sold")
    await gets_discounts(backend, id_, life)
    latest = await is_taxed(backend, id_)

    # money back: a part to the card, a part to the balance, the rest of the term at the end
    if life.odd is not None:
        await refuses_what_cannot_be_charged(backend, id_, life.odd)
    await backend.done(f"invoices/{latest['id']}/refund", {"amount": life.part}, "part")
    note = {"amount": life.part, "to": "balance"}
    await backend.done(f"invoices/{latest['id']}/credit-notes", note, "note")
    mrr = await pool.fetch("SELECT currency, mrr FROM billing_mrr")
    term = (await backend.subscription(id_))["nextCharge"]["amount"]
    assert [(row["currency"], row["mrr"]) for row in mrr] == [(life.currency, term)]
    await stripe.advance_time(await stripe.now() + 11 * DAY)
    preview = await backend.done(f"{path}/preview-end")
    assert preview["currency"] == life.currency
    await backend.done(f"{path}/end", {"at": preview["at"]})
    await backend.worker.catch_up()
    assert preview["refunded"] > 0

    await equals_stripes(backend, life)
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)
    printed = await run_command(url, "invoice", "show", first["id"], stripe_url=stripe_url)
    assert life.shown in printed.out
    timeline = await run_command(url, "timeline", id_, stripe_url=stripe_url)
    assert life.shown in timeline.out


async def equals_stripes(backend: Backend, life: Amounts) -> None:
    """Add up each kind of object at Stripe, and compare it with the mirror."""
    v1, pool = backend.worker.gateway.client.v1, backend.service.pool
    invoices = (await v1.invoices.list_async({"limit": 100})).data
    refunds = (await v1.refunds.list_async({"limit": 100})).data
    notes = (await v1.credit_notes.list_async({"limit": 100})).data
    ours = await pool.fetchrow(
        """SELECT
            (SELECT sum(amount_paid) FROM invoices) AS paid,
            (SELECT sum(amount_invoiced) FROM invoices) AS invoiced,
            (SELECT sum(amount_refunded) FROM invoices) AS refunded,
            (SELECT sum(amount) FROM stripe_refunds) AS refunds,
            (SELECT sum(amount) FROM stripe_credit_notes) AS notes,
            (SELECT sum(balance) FROM stripe_customer_balances) AS balance,
            (SELECT sum(total) FROM invoices) AS in_mpanel"""
    )
    assert ours is not None
    customer = await pool.fetchval("SELECT stripe_customer_id FROM subscriptions")
    at_stripe = await v1.customers.retrieve_async(customer)
    refunded = sum(one.amount for one in refunds)
    total = sum(one.total for one in invoices)
    assert tuple(ours)[:6] == (
        sum(one.amount_paid for one in invoices),
        total,
        refunded,
        refunded,
        sum(one.amount for one in notes),
        at_stripe.balance,
    )
    assert ours["in_mpanel"] == money.to_hundredths(total, life.currency)
    step = money.smallest_step(life.currency)
    for one in (*invoices, *refunds, *notes):
        assert one.currency == life.currency
    amounts = [one.amount_paid for one in invoices] + [one.amount for one in (*refunds, *notes)]
    assert {amount % step for amount in amounts} == {0}
