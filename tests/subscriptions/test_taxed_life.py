"""What follows a taxed purchase is taxed: every sum is Stripe's, and shown before it is charged."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from mpanel_billing.settings import Settings
from tests.commands import run_command
from tests.service import ORDER
from tests.subscriptions.conftest import BEARER, Backend
from tests.taxed import GERMANY, PLAIN, TEXAS, typed

pytestmark = pytest.mark.usefixtures("taxed_shop")

DAY = 86_400
STARTER = {"planId": "starter", "billingCycle": "monthly"}
BUSINESS = STARTER | {"planId": "business"}
SMALL = STARTER | {"planId": "small"}
WORK = {"description": "Migration of the shop", "unitAmount": 2450, "quantity": 2}
WHERE = {"added in Texas": (TEXAS, "usd"), "contained in Germany": (GERMANY, "eur")}
IN_BOTH = pytest.mark.parametrize("where", WHERE)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"tax": "automatic"})


async def buy(backend: Backend, where: str, **order: Any) -> str:
    place, currency = WHERE[where]
    whole = PLAIN | {"currency": currency, "customer": ORDER["customer"]} | order
    page = await backend.service.order(whole)
    paid = await backend.service.stripe.pay(page["url"], **typed(place))
    assert paid.status == 303, paid
    await backend.worker.catch_up()
    return str(page["subscriptionId"])


async def wait_days(backend: Backend, days: int) -> None:
    now = await backend.service.stripe.now()
    await backend.service.stripe.advance_time(now + days * DAY)
    await backend.worker.catch_up()


async def end_term(backend: Backend, id_: str) -> dict[str, Any]:
    """Let the next term begin and be paid; return its invoice."""
    end = datetime.fromisoformat((await backend.subscription(id_))["currentPeriodEnd"])
    await backend.service.stripe.advance_time(int(end.timestamp()) + 2 * 3600)
    await backend.worker.catch_up()
    return (await backend.invoices(id_))[0]


async def change(backend: Backend, id_: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Preview a change and make it; return the preview."""
    path = f"subscriptions/{id_}"
    shown = await backend.done(f"{path}/preview-change", wanted)
    token = {"previewToken": shown["previewToken"]}
    assert (await backend.done(f"{path}/change-plan", token))["changed"]
    await backend.worker.catch_up()
    return shown


async def check_books(backend: Backend) -> int:
    """Compare each invoice with Stripe's: mirror, columns, API and view; return how many."""
    pool = backend.service.pool
    listed = await backend.worker.gateway.client.v1.invoices.list_async({"limit": 100})
    for invoice in (one.to_dict() for one in listed.data):
        tax = sum(one["amount"] for one in invoice["total_taxes"])
        total = invoice["total"]
        row = await pool.fetchrow(
            "SELECT * FROM invoices WHERE stripe_invoice_id = $1", invoice["id"]
        )
        assert row is not None
        columns = [row[name] for name in ("subtotal", "tax_amount", "total")]
        assert columns == [Decimal(one).scaleb(-2) for one in (total - tax, tax, total)]
        assert sum(one["amount"] for one in row["taxes"]) == tax
        shown = (await backend.get(f"invoices/{row['id']}")).body["invoice"]
        assert [shown[name] for name in ("totalExcludingTax", "totalTax", "total")] == [
            total - tax, tax, total,
        ]  # fmt: skip
        declared = await pool.fetchrow(
            "SELECT sum(net), sum(tax) FROM billing_tax_lines WHERE document_id = $1", invoice["id"]
        )
        assert declared is not None
        assert tuple(declared) == (total - tax, tax), invoice["id"]
        assert tax, "each is taxed"
    return len(listed.data)


def check_lines(lines: list[dict[str, Any]], total: int) -> None:
    """Each line is net and tax, of which it may contain some, and all of them are the total."""
    assert len(lines) > 1
    for line in lines:
        assert line["gross"] == line["net"] + line["tax"]
        assert line["amount"] - line["discount"] in {line["net"], line["gross"]}
        assert (line["tax"] < 0) is (line["net"] < 0)
    assert sum(line["gross"] for line in lines) == total


@IN_BOTH
async def test_renewal_upgrade_quantity_charge_downgrade_and_pause_are_taxed(
    backend: Backend, where: str
) -> None:
    added = where.startswith("added")
    id_ = await buy(backend, where)
    path = f"subscriptions/{id_}"
    await wait_days(backend, 10)
    upgrade = await change(backend, id_, BUSINESS)
    assert (upgrade["tax"] > 0) is added
    assert upgrade["dueNow"] == sum(one["amount"] for one in upgrade["lines"]) + upgrade["tax"]
    check_lines(upgrade["lines"], upgrade["dueNow"])
    assert (await backend.invoices(id_))[0]["amountPaid"] == upgrade["dueNow"]
    await wait_days(backend, 1)  # two invoices of one second are in no order
    more = await change(
        backend, id_, BUSINESS | {"addonIds": ["backups"], "quantities": {"backups": 3}}
    )
    assert (await backend.invoices(id_))[0]["amountPaid"] == more["dueNow"]

    charge = (await backend.done(f"{path}/preview-charge", WORK))["upcomingInvoice"]
    await backend.done(f"{path}/charges", WORK | {"reason": "ticket 4711"})
    renewed = await end_term(backend, id_)
    assert (
        renewed["amountPaid"]
        == charge["amountDue"]
        == more["nextCharge"]["amount"] + (5304 if added else 5831)
    )

    less = await change(backend, id_, SMALL | {"addonIds": []})
    assert less["effectiveAt"]
    before = await backend.subscription(id_)
    assert (before["nextCharge"]["amount"], before["plannedChange"]["recurring"]) == (777, 777)
    renewed = await end_term(backend, id_)
    assert renewed["amountPaid"] == less["nextCharge"]["amount"] == (841 if added else 777)
    stripe_id, _ = await backend.stripe_ids(id_)
    held = await backend.worker.gateway.client.v1.subscriptions.retrieve_async(stripe_id)
    assert held.automatic_tax.enabled

    await wait_days(backend, 10)
    await backend.done(f"{path}/pause", {"reason": "no season"})
    await wait_days(backend, 40)
    payer = {"customerId": await backend.customer_of(id_), "currency": WHERE[where][1]}
    credit = {"move": "add", "amount": 100, "reason": "an outage"}
    await backend.done("balance", payer | credit)
    costs = await backend.done(f"{path}/preview-resume")
    check_lines(costs["lines"], costs["total"])
    sums = [sum(line[name] for line in costs["lines"]) for name in ("net", "tax")]
    assert sums == [costs["totalExcludingTax"], costs["totalTax"]]
    assert costs["total"] + costs["balance"] == costs["dueNow"] == costs["total"] - 100
    stripe_url = str(backend.service.settings.stripe_api_base)
    url = backend.service.settings.database_url.get_secret_value()
    told = await run_command(url, "resume", id_, "--preview", stripe_url=stripe_url)
    assert told.out.count(", including ") == 2, told.err
    assert "the customer's balance" in told.out
    await backend.done(f"{path}/resume")
    await backend.worker.catch_up()
    resumed = (await backend.invoices(id_))[0]
    assert resumed["amountPaid"] == costs["dueNow"]
    sums_of_invoice = ("totalExcludingTax", "totalTax", "total")
    assert [resumed[name] for name in sums_of_invoice] == [costs[name] for name in sums_of_invoice]
    assert await check_books(backend) == 6
    assert await backend.service.pool.fetch("SELECT trouble FROM billing_trouble") == []


@IN_BOTH
async def test_a_change_after_a_refund_credits_what_was_kept_with_its_tax(
    backend: Backend, where: str
) -> None:
    id_ = await buy(backend, where, planId="business")
    (invoice,) = await backend.invoices(id_)
    paid = invoice["amountPaid"]
    half = paid // 2
    await backend.done(f"invoices/{invoice['id']}/refund", {"amount": half})
    await backend.worker.catch_up()
    shown = await change(backend, id_, SMALL | {"when": "now"})
    costs = 841 if where.startswith("added") else 777
    assert abs(shown["credited"] - (paid - half - costs)) <= 3
    _, customer = await backend.stripe_ids(id_)
    held = await backend.worker.gateway.client.v1.customers.retrieve_async(customer)
    assert -int(held.balance or 0) == shown["credited"]
    assert await check_books(backend) == 2


@IN_BOTH
async def test_an_end_gives_back_unused_time_with_its_tax(backend: Backend, where: str) -> None:
    id_ = await buy(backend, where, planId="business")
    (invoice,) = await backend.invoices(id_)
    await backend.done(f"subscriptions/{id_}/end", {"reason": "moved away"})
    await backend.worker.catch_up()
    (given,) = await backend.service.pool.fetch("SELECT amount FROM stripe_refunds")
    assert abs(given["amount"] - invoice["amountPaid"]) <= 3
    sums = await backend.service.pool.fetchrow(
        "SELECT abs(sum(net)), abs(sum(tax)) FROM billing_tax_lines"
    )
    assert sums is not None
    assert max(sums) <= 3


async def test_who_becomes_exempt_pays_the_next_term_without_tax(backend: Backend) -> None:
    id_ = await buy(backend, "added in Texas")
    (taxed,) = await backend.invoices(id_)
    _, customer = await backend.stripe_ids(id_)
    customers = backend.worker.gateway.client.v1.customers
    await customers.update_async(customer, {"tax_exempt": "exempt"})
    free = await end_term(backend, id_)
    assert taxed["totalTax"] > 0
    assert (free["totalTax"], free["total"]) == (0, free["totalExcludingTax"])
    declared = await backend.service.pool.fetch(
        "SELECT reason, net, tax FROM billing_tax_lines ORDER BY at"
    )
    assert [tuple(row) for row in declared] == [
        ("standard_rated", taxed["totalExcludingTax"], taxed["totalTax"]),
        ("customer_exempt", free["total"], 0),
    ]


GERMAN_VAT = {"type": "eu_vat", "value": "DE123456789"}


@pytest.mark.parametrize("first", ["the order", "the event"])
async def test_an_order_by_mpanel_gives_its_customer_the_tax_id(
    backend: Backend, first: str
) -> None:
    """Stripe tells of it while the order is stored: in the same moment, before or after."""
    pool = backend.service.pool
    customer = str(await pool.fetchval("INSERT INTO customers DEFAULT VALUES RETURNING id"))
    if first == "the event":
        await backend.service.stripe.inject_fault(
            "hang", method="POST", path="/v1/customers", after_work=True, seconds=1
        )
    company = {"name": "Zuse KG", "email": "konrad@example.com", "taxId": GERMAN_VAT}
    order = PLAIN | {"customerId": customer, "customer": company}
    await backend.service.order(order, **BEARER)
    await backend.service.stripe.wait_idle()
    assert await pool.fetchval("SELECT tax_id FROM customers") == GERMAN_VAT["value"]
