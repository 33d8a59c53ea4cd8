"""What a page shows is what its confirmation does; if it no longer can be, it is refused."""

from tests.console.conftest import Console, Ids
from tests.inline_worker import InlineWorker


async def test_two_who_refund_the_same_do_not_refund_it_twice(console: Console, ids: Ids) -> None:
    path = f"/console/invoices/{ids.invoice}/refund"
    mine, theirs = await console.open(f"{path}?amount=5"), await console.open(f"{path}?amount=5")
    assert "$7.98 of the invoice is kept." in mine.text
    assert (await console.post(path, theirs)).status == 303
    refused = await console.post(path, mine)
    assert (refused.status, "The preview is outdated" in refused.text) == (409, True)
    assert "$2.98 of the invoice is kept." in refused.text
    assert await refunded(console) == 500
    assert (await console.post(path, refused)).status == 303
    assert await refunded(console) == 1000


async def refunded(console: Console) -> int:
    await console.service.stripe.wait_idle()
    return int(await console.service.pool.fetchval("SELECT sum(amount) FROM stripe_refunds"))


async def test_a_credit_note_is_not_issued_for_another_invoice_than_was_shown(
    console: Console, ids: Ids
) -> None:
    path = f"/console/invoices/{ids.invoice}/credit"
    shown = await console.open(f"{path}?amount=2&to=balance")
    refund = f"/console/invoices/{ids.invoice}/refund"
    assert (await console.post(refund, await console.open(f"{refund}?amount=5"))).status == 303
    assert (await console.post(path, shown)).status == 409
    notes = "SELECT count(*) FROM stripe_credit_notes"
    await console.service.stripe.wait_idle()
    assert await console.service.pool.fetchval(notes) == 0
    assert (
        await console.post(path, await console.open(f"{path}?amount=2&to=balance"))
    ).status == 303


async def test_a_balance_that_others_have_moved_is_shown_again(console: Console, ids: Ids) -> None:
    path = f"/console/customers/{ids.customer}/balance"
    asked = f"{path}?move=add&amount=5&currency=usd&reason=an+outage"
    mine, theirs = await console.open(asked), await console.open(asked)
    assert (await console.post(path, theirs)).status == 303
    refused = await console.post(path, mine)
    assert (refused.status, "changes from -$5.00 to -$10.00" in refused.text) == (409, True)


async def test_a_pause_that_would_no_longer_credit_is_refused(console: Console, ids: Ids) -> None:
    path = f"/console/subscriptions/{ids.subscription}/pause"
    shown = await console.open(path)
    assert "now about $12.9" in shown.text
    refund = f"/console/invoices/{ids.invoice}/refund"
    assert (await console.post(refund, await console.open(f"{refund}?amount=5"))).status == 303
    refused = await console.post(path, shown)
    assert (refused.status, "The preview is outdated" in refused.text) == (409, True)
    assert "is credited to the next invoice" not in refused.text
    assert (await console.post(path, refused)).status == 303


async def test_a_resumption_that_would_charge_something_else_is_refused(
    console: Console, ids: Ids
) -> None:
    page = f"/console/subscriptions/{ids.subscription}"
    stripe = console.service.stripe
    await stripe.advance_time(await stripe.now() + 10 * 86_400)
    assert (await console.post(f"{page}/pause", await console.open(f"{page}/pause"))).status == 303
    shown = await console.open(f"{page}/resume")
    assert 300 < int(shown.field("due_now")) < 500
    balance = f"/console/customers/{ids.customer}/balance"
    asked = f"{balance}?move=add&amount=100&currency=usd&reason=an+outage"
    assert (await console.post(balance, await console.open(asked))).status == 303
    refused = await console.post(f"{page}/resume", shown)
    assert (refused.status, "Charged now: $0.00" in refused.text) == (409, True)
    assert (await console.post(f"{page}/resume", refused)).status == 303


async def test_only_the_suspension_that_was_shown_is_lifted(
    console: Console, ids: Ids, worker: InlineWorker
) -> None:
    page = f"/console/subscriptions/{ids.subscription}"

    async def act(name: str, **fields: str) -> int:
        shown = await console.open(f"{page}/{name}")
        return (await console.post(f"{page}/{name}", shown, **fields)).status

    assert await act("suspend", reason="asks for it") == 303
    shown = await console.open(f"{page}/lift")
    assert await act("lift") == 303
    assert await act("suspend", reason="sends spam") == 303
    refused = await console.post(f"{page}/lift", shown)
    assert (refused.status, "sends spam" in refused.text) == (409, True)
    assert await act("lift") == 303
