"""Refunds: never more than was paid, never twice by mistake."""

import asyncio
from typing import Any

import pytest

from tests.subscriptions.conftest import Backend


@pytest.fixture
async def paid(backend: Backend, bought: str) -> dict[str, Any]:
    """The invoice of the first month."""
    (invoice,) = await backend.invoices(bought)
    return invoice


async def refunds_at_stripe(backend: Backend) -> list[int]:
    page = await backend.worker.gateway.client.v1.refunds.list_async()
    return [refund.amount for refund in page.data]


async def test_an_invoice_can_be_refunded_in_full(backend: Backend, paid: dict[str, Any]) -> None:
    await backend.service.stripe.set_delivery(hold=True)
    body = await backend.done(f"invoices/{paid['id']}/refund", {"reason": "requested_by_customer"})
    assert body["refund"]["id"].startswith("re_")
    assert body["refund"]["amount"] == paid["amountPaid"] == body["invoice"]["amountRefunded"]
    assert (body["refund"]["status"], body["refund"]["reason"]) == (
        "succeeded",
        "requested_by_customer",
    )
    await backend.service.stripe.release()
    await backend.worker.catch_up()
    (after,) = await backend.invoices(paid["subscriptionId"])
    assert after == paid | {"amountRefunded": paid["amountPaid"]}
    assert await backend.audit() == [("invoice.refund", "done")]
    again = await backend.post(f"invoices/{paid['id']}/refund", {"amount": 1})
    assert (again.status, again.body["code"]) == (409, "already_refunded")


async def test_parts_add_up_to_what_was_paid(backend: Backend, paid: dict[str, Any]) -> None:
    path, total = f"invoices/{paid['id']}/refund", paid["amountPaid"]
    await backend.done(path, {"amount": 500})
    too_much = await backend.post(path, {"amount": total - 499})
    assert (too_much.status, too_much.body["code"]) == (422, "refund_too_large")
    assert too_much.body["fields"] == {"amount": f"must be at most {total - 500}"}
    rest = await backend.done(path)
    assert rest["refund"]["amount"] == total - 500
    assert sorted(await refunds_at_stripe(backend)) == [500, total - 500]


async def test_a_repeated_refund_is_a_mistake_unless_it_has_a_key(
    backend: Backend, paid: dict[str, Any]
) -> None:
    path = f"invoices/{paid['id']}/refund"
    first = await backend.done(path, {"amount": 100})
    assert (await backend.done(path, {"amount": 100}))["refund"] == first["refund"]
    assert await refunds_at_stripe(backend) == [100]
    second = await backend.done(path, {"amount": 100}, "on-purpose")
    assert second["refund"]["id"] != first["refund"]["id"]
    assert await backend.done(path, {"amount": 100}, "on-purpose") == second
    assert await refunds_at_stripe(backend) == [100, 100]
    other = await backend.post(path, {"amount": 200}, "on-purpose")
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")


async def test_of_two_concurrent_refunds_one_is_made(
    backend: Backend, paid: dict[str, Any]
) -> None:
    path = f"invoices/{paid['id']}/refund"
    await backend.service.stripe.inject_fault("hang", method="POST", path="/v1/refunds", seconds=1)
    responses = await asyncio.gather(*(backend.post(path, {"amount": 100}) for _ in range(3)))
    assert sorted(response.status for response in responses) == [200, 409, 409]
    assert await refunds_at_stripe(backend) == [100]


@pytest.mark.parametrize("fault", ["reset", "status"])
async def test_a_refund_whose_response_was_lost_is_made_once(
    backend: Backend, paid: dict[str, Any], fault: str
) -> None:
    """Whether the connection broke, or Stripe returned a 500 although it had acted."""
    path = f"invoices/{paid['id']}/refund"
    await backend.service.stripe.inject_fault(
        fault, method="POST", path="/v1/refunds", after_work=True, times=3
    )
    assert (await backend.post(path, {"amount": 100})).status == 503
    body = await backend.done(path, {"amount": 100})
    assert body["invoice"]["amountRefunded"] == 100
    assert await refunds_at_stripe(backend) == [100]


async def test_a_refund_made_in_the_dashboard_counts_before_its_webhook_arrives(
    backend: Backend, paid: dict[str, Any]
) -> None:
    await backend.service.stripe.set_delivery(hold=True)
    intent = await backend.service.pool.fetchval(
        "SELECT stripe_payment_intent_id FROM invoice_payments"
    )
    await backend.worker.gateway.client.v1.refunds.create_async(
        {"payment_intent": intent, "amount": paid["amountPaid"] - 10}
    )
    refused = await backend.post(f"invoices/{paid['id']}/refund", {"amount": 11})
    assert (refused.status, refused.body["code"]) == (422, "refund_too_large")
    body = await backend.done(f"invoices/{paid['id']}/refund", {"amount": 10})
    assert body["invoice"]["amountRefunded"] == paid["amountPaid"]
    await backend.service.stripe.release()
    await backend.worker.catch_up()
    (after,) = await backend.invoices(paid["subscriptionId"])
    assert after["amountRefunded"] == paid["amountPaid"]


async def test_a_refund_returned_by_the_bank_no_longer_counts(
    backend: Backend, paid: dict[str, Any]
) -> None:
    body = await backend.done(f"invoices/{paid['id']}/refund", {"amount": 100})
    await backend.service.stripe.fail_refund(body["refund"]["id"])
    await backend.worker.catch_up()
    (after,) = await backend.invoices(paid["subscriptionId"])
    assert after["amountRefunded"] == 0


async def test_what_was_not_paid_cannot_be_refunded(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.buy(order_a | {"trialActive": True})
    await backend.worker.catch_up()
    (free,) = await backend.invoices(order["subscriptionId"])
    refused = await backend.post(f"invoices/{free['id']}/refund")
    assert (refused.status, refused.body["code"]) == (409, "nothing_to_refund")


async def test_wrong_amounts_are_refused(backend: Backend, paid: dict[str, Any]) -> None:
    for wrong in (0, -1, 1.5, "100", 10**9, True):
        response = await backend.post(f"invoices/{paid['id']}/refund", {"amount": wrong})
        assert (response.status, "amount" in response.body["fields"]) == (422, True), wrong
    wrong_reason = await backend.post(f"invoices/{paid['id']}/refund", {"reason": "because"})
    assert wrong_reason.status == 422
    assert await refunds_at_stripe(backend) == []
