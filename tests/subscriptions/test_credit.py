"""A change credits at most what was paid for the rest of the term, and not given back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mpanel_billing.stripe_gateway.billed import BilledInvoice, BilledLine
from mpanel_billing.stripe_gateway.subscriptions import Preview, PreviewLine
from mpanel_billing.subscriptions.kept import unearned_credit
from tests.subscriptions.conftest import Backend

PREMIUM: dict[str, Any] = {"planId": "premium", "billingCycle": "monthly"}
LESS: dict[str, Any] = {
    "planId": "starter",
    "billingCycle": "monthly",
    "addonIds": [],
    "when": "now",
}
MORE: dict[str, Any] = LESS | {"addonIds": ["addon-backups-daily"]}
PAID = 1298
DAY = 86_400


async def change(backend: Backend, id_: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Preview a change and make it; return the preview, after checking that it was kept."""
    before = await balance(backend, id_)
    shown = await backend.done(f"subscriptions/{id_}/preview-change", wanted)
    token = {"previewToken": shown["previewToken"]}
    assert (await backend.done(f"subscriptions/{id_}/change-plan", token))["changed"]
    await backend.worker.catch_up()
    if shown["prorationBehavior"] == "always_invoice":
        total = sum(line["amount"] for line in shown["lines"])
        assert await balance(backend, id_) - before == total - shown["dueNow"]
        assert shown["credited"] == max(-total, 0)
    return shown


async def balance(backend: Backend, id_: str) -> int:
    """Return the customer's balance at Stripe; negative is a credit."""
    _, customer = await backend.stripe_ids(id_)
    return int((await backend.worker.gateway.client.v1.customers.retrieve_async(customer)).balance)


async def refund(backend: Backend, id_: str, amount: int | None = None) -> None:
    invoice = (await backend.invoices(id_))[-1]
    body = {"amount": amount} if amount else {}
    await backend.done(f"invoices/{invoice['id']}/refund", body)
    await backend.worker.catch_up()


async def wait_days(backend: Backend, days: int) -> None:
    now = await backend.service.stripe.now()
    await backend.service.stripe.advance_time(now + days * DAY)


async def test_what_was_paid_is_credited_as_before(backend: Backend, bought: str) -> None:
    await wait_days(backend, 10)
    shown = await change(backend, bought, LESS)
    assert shown["credited"] > 200
    assert all(line["proration"] for line in shown["lines"])


async def test_back_and_forth_is_neutral_and_needs_no_correction(
    backend: Backend, bought: str
) -> None:
    for wanted in (PREMIUM, LESS, MORE, PREMIUM | {"addonIds": []}, MORE):
        shown = await change(backend, bought, wanted)
        assert all(line["proration"] for line in shown["lines"]), shown
        await wait_days(backend, 3)


@pytest.mark.parametrize("credit", [50, 300], ids=["used up by it", "partly left after it"])
async def test_the_charge_after_a_change_takes_what_the_change_leaves_of_a_balance(
    backend: Backend, bought: str, credit: int
) -> None:
    payer = {"customerId": await backend.customer_of(bought), "currency": "usd"}
    await backend.done("balance", payer | {"move": "add", "amount": credit, "reason": "an outage"})
    shown = await change(backend, bought, PREMIUM)
    left = -await balance(backend, bought)
    assert (left > 0) is (credit == 300)
    assert shown["nextCharge"]["amount"] == shown["recurring"] - left


async def test_a_refunded_term_is_not_credited_too(backend: Backend, bought: str) -> None:
    await refund(backend, bought)
    await wait_days(backend, 10)
    shown = await change(backend, bought, LESS)
    assert (shown["credited"], await balance(backend, bought)) == (0, 0)


async def test_an_upgrade_after_a_refund_is_charged_in_full(backend: Backend, bought: str) -> None:
    await refund(backend, bought)
    shown = await change(backend, bought, PREMIUM | {"addonIds": []})
    assert shown["dueNow"] in range(890, 900)
    again = await change(backend, bought, LESS)
    assert again["credited"] in range(90, 101)
    assert -(await balance(backend, bought)) == again["credited"]


async def test_after_a_refund_of_more_than_the_credit_nothing_is_credited(
    backend: Backend, bought: str
) -> None:
    await refund(backend, bought, 1000)
    shown = await change(backend, bought, LESS)
    assert (shown["credited"], shown["dueNow"]) == (0, 0)


async def test_a_small_refund_leaves_the_credit_that_is_smaller_than_what_was_kept(
    backend: Backend, bought: str
) -> None:
    await refund(backend, bought, 100)
    shown = await change(backend, bought, LESS)
    full = PAID - 799
    assert shown["credited"] in range(full - 100 - 3, full - 100 + 3)


@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations"])
async def test_an_uncollectible_term_is_not_credited(
    backend: Backend, bought: str, behavior: str
) -> None:
    """Written off, it is neither open nor paid."""
    await backend.give_card(bought, "4000000000000341")
    await wait_days(backend, 32)
    api = backend.worker.gateway.client.v1.invoices
    (owed,) = (await api.list_async({"status": "open"})).data
    await api.mark_uncollectible_async(owed.id)
    await backend.give_card(bought, "4242424242424242")
    await backend.service.stripe.wait_idle()
    shown = await change(backend, bought, LESS | {"prorationBehavior": behavior})
    assert shown["credited"] == 0
    assert await balance(backend, bought) == 0
    if behavior == "create_prorations":
        assert shown["nextCharge"]["amount"] == shown["recurring"]


START = datetime(2026, 11, 1, tzinfo=UTC)
HALF, END = START + timedelta(days=15), START + timedelta(days=30)


def invoice(status: str = "paid", paid: int = 1000, **more: Any) -> BilledInvoice:
    """An invoice of 10.00 for a month."""
    facts: dict[str, Any] = {
        "id": "in_1",
        "status": status,
        "currency": "usd",
        "total": 1000,
        "amount_paid": paid,
        "amount_remaining": 1000 - paid,
        "reduced": 0,
        "has_credit_notes": False,
        "payment_intents": (),
        "lines": (BilledLine(1000, START, END),),
    }
    return BilledInvoice(**facts | more)


def preview(*amounts: int, at: datetime = HALF) -> Preview:
    """A preview of credits and charges for the rest of the month."""
    lines = tuple(PreviewLine("", one, True, at, END, "prod_1", False) for one in amounts)
    return Preview("usd", sum(amounts), max(sum(amounts), 0), at, lines)


@pytest.mark.parametrize(
    ("held", "returned", "unearned"),
    [
        (invoice(), 0, 0),
        (invoice(), 500, 500),
        (invoice(), 200, 200),
        (invoice(), 5000, 500),
        (invoice(reduced=400), 0, 400),
        (invoice("uncollectible", 0), 0, 500),
        (invoice("uncollectible", 700), 0, 300),
        (invoice("void", 0), 0, 500),
        (invoice("open", 0), 0, 0),
        (invoice("paid", 0), 0, 0),
        (invoice(lines=()), 0, 500),
    ],
    ids=[
        "paid",
        "half given back: the half that was used was kept",
        "some given back",
        "more given back than was credited",
        "reduced before its payment",
        "written off",
        "paid in part and written off",
        "void",
        "paid first",
        "paid from the balance or otherwise",
        "billed for nothing that has a time",
    ],
)
def test_credit_is_what_was_kept_for_the_rest(
    held: BilledInvoice, returned: int, unearned: int
) -> None:
    assert unearned_credit(preview(-500, 800), [held], {"in_1": returned}) == unearned


@pytest.mark.parametrize(("returned", "unearned"), [(0, 0), (595, 500), (119, 100), (1190, 500)])
def test_of_prices_without_taxes_the_part_of_the_prices_is_counted(
    returned: int, unearned: int
) -> None:
    """What was given back has the taxes, the credit gets them on top."""
    lines = (BilledLine(1190, START, END, added_tax=190),)
    held = invoice(total=1190, amount_paid=1190, lines=lines)
    assert unearned_credit(preview(-500), [held], {"in_1": returned}) == unearned


def test_a_credit_that_was_given_before_is_not_given_again() -> None:
    given = invoice(id="in_2", total=-500, lines=(BilledLine(-500, HALF, END),))
    assert unearned_credit(preview(-500), [given, invoice()], {}) == 500


def test_a_term_of_the_past_counts_for_nothing() -> None:
    past = invoice(lines=(BilledLine(1000, START - timedelta(days=30), START),))
    assert unearned_credit(preview(-500), [past], {}) == 500


def test_what_is_still_to_be_invoiced_counts_as_charged() -> None:
    """A change with `create_prorations` has left its lines for the next invoice."""
    earlier = PreviewLine("", 400, True, START, END, "prod_1", False)
    shown = preview(-700)
    shown = Preview("usd", -300, 0, HALF, (earlier, *shown.lines))
    assert unearned_credit(shown, [invoice()], {}) == 0
    assert unearned_credit(shown, [invoice()], {"in_1": 100}) == 100


def test_what_was_charged_back_before_is_not_missing_again() -> None:
    lines = (
        BilledLine(-1000, START, END),
        BilledLine(900, START, END),
        BilledLine(1000, START, END, is_correction=True),
    )
    upgraded = invoice(id="in_2", total=900, amount_paid=900, lines=lines)
    assert unearned_credit(preview(-450), [upgraded, invoice()], {"in_1": 1000}) == 0


def test_roundings_are_not_corrected() -> None:
    assert unearned_credit(preview(-502), [invoice()], {}) == 0
