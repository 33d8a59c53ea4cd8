"""The story of a customer and of a subscription: all that happened, in order, as it was then."""

import pytest

from tests.console.conftest import Console, Ids, Shown
from tests.inline_worker import InlineWorker

DAY = 86_400
NO_FUNDS_LATER = "4000000000000341"
DECLINED = "The bank declined it without a reason that it tells."


def section(shown: Shown, id_: str) -> str:
    """Return the text of a section of a page."""
    part = shown.html.partition(f'id="{id_}"')[2].partition("</section>")[0]
    return Shown(shown.status, f"<p {part}").text


@pytest.fixture
async def owing(console: Console, ids: Ids, worker: InlineWorker) -> str:
    """The id of an open invoice for a second term, whose card was declined."""
    stripe = console.service.stripe
    customer = await console.service.pool.fetchval("SELECT stripe_customer_id FROM subscriptions")
    await stripe.replace_card(customer, NO_FUNDS_LATER)
    await stripe.advance_time(await stripe.now() + 32 * DAY)
    await worker.catch_up()
    row = await console.service.row("SELECT id FROM invoices WHERE stripe_status = 'open'")
    return str(row["id"])


async def test_why_a_renewal_was_declined_is_told_until_it_is_paid(
    console: Console, ids: Ids, owing: str
) -> None:
    """Stripe tells of an invoice's payment once it is paid."""
    pool = console.service.pool
    assert not await pool.fetchval(
        "SELECT count(*) FROM invoice_payments AS p JOIN invoices AS i USING (stripe_invoice_id)"
        " WHERE i.id::text = $1",
        owing,
    )
    assert DECLINED in (await console.open("/console/debtors")).text
    assert DECLINED in (await console.open("/console/debtors.csv")).html
    shown = await console.open(f"/console/customers/{ids.customer}")
    (failed,) = [row for row in shown.html.split("<tr>") if DECLINED in row and "····" in row]
    assert f"/console/invoices/{owing}" in failed
    charge = await pool.fetchval(
        "SELECT stripe_charge_id FROM stripe_charges WHERE status = 'failed'"
    )
    assert charge in section(shown, "timeline")
    assert charge in (await console.open(f"/console/subscriptions/{ids.subscription}")).text
