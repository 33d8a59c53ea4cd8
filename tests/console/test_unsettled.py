"""Stripe did what it was asked for, and its answer was lost."""

import pytest

from tests.console.conftest import Console, Ids


@pytest.mark.parametrize("fault", ["reset", "status"])
async def test_a_refund_whose_answer_was_lost_is_not_made_twice(
    console: Console, ids: Ids, fault: str
) -> None:
    stripe = console.service.stripe
    path = f"/console/invoices/{ids.invoice}/refund"
    page = await console.open(f"{path}?amount=2.50")
    await stripe.inject_fault(fault, method="POST", path="/v1/refunds", after_work=True, times=3)
    fields = {"amount": "2.50", "reason": "", "key": page.field("key")}
    lost = await console.post(path, page, **fields)
    assert lost.status == 503
    assert "It may have been done all the same." in lost.text
    hidden = {name: lost.field(name) for name in (*fields, "form_token")}
    assert (await console.post(path, **hidden)).status == 303
    await stripe.wait_idle()
    row = await console.service.row("SELECT amount_refunded FROM invoices")
    assert row["amount_refunded"] == 250


async def test_what_stripe_refused_is_a_form_again(console: Console, ids: Ids) -> None:
    path = f"/console/invoices/{ids.invoice}/refund"
    page = await console.open(f"{path}?amount=2.50")
    await console.service.stripe.inject_fault(
        "status", method="POST", path="/v1/refunds", status=400
    )
    fields = {"amount": "2.50", "key": page.field("key")}
    refused = await console.post(path, page, **fields)
    assert "It may have been done all the same." not in refused.text
    again = {"amount": "2.50", "key": refused.field("key")}
    assert (await console.post(path, refused, **again)).status == 303
