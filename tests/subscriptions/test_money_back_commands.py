"""`mpanel-billing refund` and `credit`, as support types them."""

import pytest

from mpanel_billing.money import format_money
from tests.commands import run_command
from tests.subscriptions.conftest import Backend


async def command(backend: Backend, *arguments: str) -> tuple[int, str]:
    settings = backend.service.settings
    done = await run_command(
        settings.database_url.get_secret_value(),
        *arguments,
        stripe_url=backend.service.sandbox.url,
    )
    return done.status, done.out + done.err


async def test_support_previews_refunds_and_credits_by_the_number_of_an_invoice(
    backend: Backend, bought: str
) -> None:
    (invoice,) = await backend.invoices(bought)
    total = invoice["amountPaid"]
    number = invoice["number"]
    status, said = await command(backend, "refund", number, "--amount", "100", "--dry-run")
    assert (status, said) == (
        0,
        f"would refund $1.00; ${(total - 100) / 100:.2f} would be left of it\n",
    )
    status, said = await command(backend, "refund", number, "--amount", "100")
    assert status == 0, said
    assert "refunded $1.00 (succeeded)" in said
    status, said = await command(
        backend, "credit", invoice["id"], "--to", "balance", "--end-service", "period_end"
    )
    assert status == 0, said
    assert "its subscription was ended, or is set to end" in said
    await backend.worker.catch_up()
    (after,) = await backend.invoices(bought)
    assert (after["amountRefunded"], after["amountCredited"]) == (100, total - 100)
    assert (await backend.subscription(bought))["cancelAtPeriodEnd"]
    row = await backend.service.row(
        "SELECT latest_invoice FROM billing_overview WHERE subscription_id::text = $1", bought
    )
    assert row["latest_invoice"].endswith(
        f"refunded $1.00, credited {format_money(total - 100, 'usd')}"
    )
    status, said = await command(backend, "timeline", bought)
    balance = f"to the balance ${(total - 100) / 100:.2f}"
    for words in (" refund    re_", ": $1.00", " credit    ", balance, "invoice.refund by cli:"):
        assert words in said
    status, said = await command(backend, "refund", number)
    assert (status, "already been refunded in full" in said) == (1, True)


@pytest.mark.parametrize("wrong", [("refund", "in_none"), ("credit", "in_none", "--to", "card")])
async def test_an_unknown_invoice_is_a_sentence(backend: Backend, wrong: tuple[str, ...]) -> None:
    assert await command(backend, *wrong) == (1, "mpanel-billing: Invoice not found.\n")
