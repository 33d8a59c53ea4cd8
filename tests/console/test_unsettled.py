"""Stripe did what it was asked for, and its answer was lost."""

import asyncpg
import pytest

from mpanel_billing.console.routes import customers
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.subscriptions.refunds import refund_invoice
from tests.console.conftest import KEY, Console, Ids, Shown
from tests.console.test_returning import sign_in_at


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
    assert "It may have been done nevertheless." in lost.text
    assert (await console.post(path, lost)).status == 303
    await stripe.wait_idle()
    row = await console.service.row("SELECT amount_refunded FROM invoices")
    assert row["amount_refunded"] == 250


@pytest.mark.parametrize(
    "error",
    [asyncpg.SerializationError("rolled back"), DatabaseUnavailableError("away"), RuntimeError()],
    ids=lambda error: type(error).__name__,
)
async def test_what_failed_here_may_have_been_done_too(
    console: Console, ids: Ids, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Stripe had acted, and then we failed: the answer was never stored."""

    async def refund(*given: object) -> None:
        await refund_invoice(*given)  # type: ignore[arg-type]
        raise error

    path = f"/console/invoices/{ids.invoice}/refund"
    page = await console.open(f"{path}?amount=2.50")
    fields = {"amount": "2.50", "key": page.field("key")}
    with monkeypatch.context() as patched:
        patched.setattr(customers, "refund_invoice", refund)
        lost = await console.post(path, page, **fields)
    assert lost.status in {500, 503}
    assert (await console.post(path, lost)).status == 303
    await console.service.stripe.wait_idle()
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
    assert "It may have been done nevertheless." not in refused.text
    again = {"amount": "2.50", "key": refused.field("key")}
    assert (await console.post(path, refused, **again)).status == 303


async def lose(console: Console, path: str) -> Shown:
    """Refund 2.50 at Stripe, without its answer: return the page that sends the same again."""
    page = await console.open(f"{path}?amount=2.50")
    stripe = console.service.stripe
    await stripe.inject_fault("status", method="POST", path="/v1/refunds", after_work=True, times=3)
    return await console.post(path, page)


async def test_what_is_sent_again_after_the_session_had_ended_is_done_once(
    console: Console, ids: Ids
) -> None:
    path = f"/console/invoices/{ids.invoice}/refund"
    lost = await lose(console, path)
    await console.service.pool.execute("DELETE FROM billing_console_sessions")
    asked = await console.post(path, lost)
    assert asked.status == 401
    kept = await sign_in_at(console, asked)
    shown = await console.post(path, kept)
    assert "$7.98 of the invoice is kept." in shown.text
    assert (await console.post(path, shown)).status == 303
    assert await refunded(console) == 250


async def test_what_is_sent_again_in_another_session_is_done_once(
    console: Console, ids: Ids
) -> None:
    path = f"/console/invoices/{ids.invoice}/refund"
    lost = await lose(console, path)
    await console.sign_in(KEY)
    shown = await console.post(path, lost)
    assert shown.status == 403
    other = await console.post(path, shown, amount="1.00")
    assert (other.status, "belongs to another request" in other.text) == (409, True)
    assert other.hidden(path)["key"] != shown.hidden(path)["key"]
    assert (await console.post(path, shown)).status == 303
    assert await refunded(console) == 250


async def refunded(console: Console) -> int:
    await console.service.stripe.wait_idle()
    return int(await console.service.pool.fetchval("SELECT amount_refunded FROM invoices"))
