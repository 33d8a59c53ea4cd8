"""A customer's balance: seen, previewed, added to and taken off, once each."""

from typing import Any

import pytest

from tests.commands import run_command
from tests.subscriptions.conftest import Backend

FAULTS = pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])


@pytest.fixture
async def customer(backend: Backend, bought: str) -> str:
    return await backend.customer_of(bought)


def wanted(customer: str, **more: Any) -> dict[str, Any]:
    given = {"customerId": customer, "currency": "usd", "move": "add", "amount": 500}
    return {**given, "reason": "For the outage of Monday.", **more}


async def moved_at_stripe(backend: Backend, bought: str) -> list[int]:
    _, stripe_id = await backend.stripe_ids(bought)
    page = await backend.worker.gateway.client.v1.customers.balance_transactions.list_async(
        stripe_id
    )
    return [one.amount for one in page.data]


async def shown(backend: Backend, customer: str) -> list[int]:
    await backend.worker.catch_up()
    body = (await backend.get("balance", customerId=customer)).body
    return [one["balance"] for one in body["balances"]]


async def test_credit_is_previewed_added_once_and_used_by_the_next_invoice(
    backend: Backend, bought: str, customer: str
) -> None:
    preview = await backend.done("preview-balance", wanted(customer))
    assert (preview["before"]["balance"], preview["after"]["balance"]) == (0, -500)
    assert await moved_at_stripe(backend, bought) == []
    for _ in range(2):
        body = await backend.done("balance", wanted(customer), "once")
        assert body["balance"]["balance"] == -500
    assert await moved_at_stripe(backend, bought) == [-500]
    history = (await backend.get("balance", customerId=customer)).body
    (movement,) = history["movements"]
    assert (movement["id"], movement["amount"], movement["reason"]) == (
        body["movementId"],
        -500,
        "For the outage of Monday.",
    )
    upcoming = (await backend.get(f"subscriptions/{bought}/upcoming-invoice")).body
    assert upcoming["upcomingInvoice"]["balance"] == -500
    assert await backend.audit() == [("customer.balance", "done")]


async def test_credit_is_taken_off_at_most_as_far_as_there_is(
    backend: Backend, bought: str, customer: str
) -> None:
    too_much = await backend.post("balance", wanted(customer, move="take"))
    assert (too_much.status, too_much.body["code"]) == (409, "balance_too_small")
    await backend.done("balance", wanted(customer))
    beyond = await backend.post("preview-balance", wanted(customer, move="take", amount=501))
    assert (beyond.status, beyond.body["code"]) == (409, "balance_too_small")
    body = await backend.done("balance", wanted(customer, move="take", amount=200))
    assert body["balance"]["balance"] == -300
    assert await moved_at_stripe(backend, bought) == [200, -500]


async def test_a_repeat_without_a_key_is_a_mistake_and_with_a_key_is_not(
    backend: Backend, bought: str, customer: str
) -> None:
    for _ in range(2):
        await backend.done("balance", wanted(customer))
    await backend.done("balance", wanted(customer), "on-purpose")
    assert await moved_at_stripe(backend, bought) == [-500, -500]
    other = await backend.post("balance", wanted(customer, amount=1), "on-purpose")
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")


@FAULTS
@pytest.mark.parametrize("after_work", [True, False])
async def test_a_lost_response_moves_it_once(
    backend: Backend, bought: str, customer: str, fault: dict[str, Any], after_work: bool
) -> None:
    _, stripe_id = await backend.stripe_ids(bought)
    await backend.service.stripe.inject_fault(
        method="POST", path=f"/v1/customers/{stripe_id}/", after_work=after_work, times=3, **fault
    )
    assert (await backend.post("balance", wanted(customer), "once")).status == 503
    body = await backend.done("balance", wanted(customer), "once")
    assert body["balance"]["balance"] == -500
    assert await moved_at_stripe(backend, bought) == [-500]


async def test_it_is_done_once_if_the_process_dies_between_stripe_and_the_commit(
    backend: Backend, bought: str, customer: str
) -> None:
    await backend.done("balance", wanted(customer), "once")
    await backend.service.pool.execute(
        "UPDATE billing_changes SET state = 'asking', stripe_id = NULL,"
        " leased_until = now() - interval '1 second'"
    )
    body = await backend.done("balance", wanted(customer), "once")
    assert body["balance"]["balance"] == -500
    assert await moved_at_stripe(backend, bought) == [-500]


async def test_the_rows_are_the_same_if_the_webhooks_come_in_reverse(
    backend: Backend, customer: str
) -> None:
    await backend.service.stripe.set_delivery(reorder=True)
    await backend.done("balance", wanted(customer))
    await backend.done("balance", wanted(customer, amount=100))
    await backend.service.stripe.set_delivery(reorder=False)
    assert await shown(backend, customer) == [-600]


async def test_others_currencies_and_customers_are_refused(backend: Backend, customer: str) -> None:
    no_payer = await backend.post("balance", wanted(customer, currency="eur"))
    assert (no_payer.status, no_payer.body["code"]) == (404, "no_stripe_customer")
    unknown = await backend.get("balance", customerId="6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
    assert (unknown.status, unknown.body["code"]) == (404, "unknown_customer")
    nobody = await backend.get("balance")
    assert nobody.status == 422


async def test_support_sees_and_moves_balances_by_command(backend: Backend, bought: str) -> None:
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)

    async def say(*words: str) -> str:
        ended = await run_command(url, "balance", *words, stripe_url=stripe_url)
        return ended.out + ended.err

    why = ("--currency", "usd", "--reason", "for the outage")
    assert await say("show", bought) == "no credit, and nothing owed\n"
    assert await say("add", bought, "500", *why, "--preview") == (
        "$0.00 of credit; then $5.00 of credit\n"
    )
    assert "$5.00 of credit" in await say("add", bought, "500", *why)
    assert "There is $5.00 of credit" in await say("take", bought, "501", *why)
    assert "$4.00 of credit" in await say("take", bought, "100", *why)
    assert "for the outage" in await say("show", bought)
