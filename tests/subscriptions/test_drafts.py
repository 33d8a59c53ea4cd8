"""A draft that Stripe does not collect by itself is brought to payment by a command, once."""

import asyncio

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.errors import ConflictError, NotFoundError, PaymentFailedError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions.drafts import collect_draft
from tests.commands import run
from tests.subscriptions.conftest import NO_FUNDS_LATER, Backend

GRACE = Actor("cli:grace@panel")
PAUSED = {"pause_collection": {"behavior": "keep_as_draft"}}


@pytest.fixture
async def drafted(backend: Backend, bought: str) -> str:
    """A subscription whose second term was left as a draft, while its collection was paused."""
    service, v1 = backend.service, backend.worker.gateway.client.v1
    stripe_id, _ = await backend.stripe_ids(bought)
    await v1.subscriptions.update_async(stripe_id, PAUSED)  # type: ignore[arg-type]
    await service.stripe.advance_time(await service.stripe.now() + 32 * 86_400)
    await v1.subscriptions.update_async(stripe_id, {"pause_collection": ""})
    await backend.worker.catch_up()
    assert await invoice_statuses(backend) == ["paid", "draft"]
    return bought


async def invoice_statuses(backend: Backend) -> list[str]:
    rows = await backend.service.pool.fetch(
        "SELECT stripe_status FROM invoices ORDER BY stripe_created"
    )
    return [row["stripe_status"] for row in rows]


def mirror_of(backend: Backend) -> Mirror:
    return Mirror(backend.service.pool, backend.worker.gateway, livemode=False)


async def outcomes(backend: Backend) -> list[str]:
    rows = await backend.service.pool.fetch(
        "SELECT outcome FROM billing_audit_log WHERE action = 'subscription.collect_draft'"
        " ORDER BY id"
    )
    return [row["outcome"] for row in rows]


async def collect(backend: Backend, id_: str) -> str:
    row = await backend.service.row("SELECT id FROM subscriptions WHERE id::text = $1", id_)
    return (await collect_draft(mirror_of(backend), row["id"], GRACE)).status


async def test_a_draft_is_finalized_and_paid_and_our_rows_follow(
    backend: Backend, drafted: str
) -> None:
    assert await collect(backend, drafted) == "paid"
    assert await invoice_statuses(backend) == ["paid", "paid"]
    assert await outcomes(backend) == ["done"]
    with pytest.raises(ConflictError, match="no draft"):
        await collect(backend, drafted)
    assert await outcomes(backend) == ["done"]


async def test_two_commands_at_once_charge_once(backend: Backend, drafted: str) -> None:
    both = (collect(backend, drafted), collect(backend, drafted))
    results = await asyncio.gather(*both, return_exceptions=True)
    assert "paid" in results
    stripe_id, _ = await backend.stripe_ids(drafted)
    v1 = backend.worker.gateway.client.v1
    page = await v1.invoices.list_async({"subscription": stripe_id})
    assert [invoice.status for invoice in page.data] == ["paid", "paid"]
    payments = await v1.invoice_payments.list_async({"invoice": page.data[0].id})
    assert [payment.status for payment in payments.data] == ["paid"]


async def test_after_a_declined_card_it_goes_on_with_the_invoice_that_it_finalized(
    backend: Backend, drafted: str
) -> None:
    await backend.give_card(drafted, NO_FUNDS_LATER)
    with pytest.raises(PaymentFailedError):
        await collect(backend, drafted)
    await backend.worker.catch_up()
    assert await invoice_statuses(backend) == ["paid", "open"]
    await backend.give_card(drafted, "4242424242424242")
    assert await collect(backend, drafted) == "paid"
    assert await outcomes(backend) == ["failed", "done"]


async def test_it_is_collected_on_the_command_line(backend: Backend, drafted: str) -> None:
    settings = backend.service.settings
    database_url = settings.database_url.get_secret_value()
    words = ("provision", "collect-draft", drafted)
    status, out = await run(database_url, *words, STRIPE_API_BASE=str(settings.stripe_api_base))
    assert (status, out.endswith(" is paid\n")) == (0, True), out


async def test_nothing_is_collected_for_a_subscription_of_the_other_mode(
    backend: Backend, drafted: str
) -> None:
    await backend.service.pool.execute("UPDATE subscriptions SET livemode = TRUE")
    with pytest.raises(NotFoundError):
        await collect(backend, drafted)
    assert await invoice_statuses(backend) == ["paid", "draft"]
    assert await outcomes(backend) == []
