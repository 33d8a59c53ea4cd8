"""After an erasure nothing of the database says who somebody was, and nothing brings it back."""

import pytest

from mpanel_billing.errors import NotFoundError
from mpanel_billing.privacy.erasure import StillRunningError, erase, preview_erasure
from mpanel_billing.privacy.repository import Who
from tests.privacy.conftest import BY, EMAIL, Past


async def test_the_search_finds_a_customer_where_they_are_stored(living: Past) -> None:
    places = await living.places()
    assert {
        "customers.email",
        "customers.address_line1",
        "stripe_customers.name",
        "subscriptions.metadata",
        "checkout_sessions.params",
        "stripe_events.payload",
        "tenants.domain",
        "tenants.name",
        "provisioning_log.request",
    } <= set(places)


@pytest.mark.parametrize("by", ["email", "id", "stripe_customer_id"])
async def test_an_erased_person_is_found_in_no_column(past: Past, by: str) -> None:
    names = {
        "email": Who(email=EMAIL.upper()),
        "id": Who(id=past.customer_id),
        "stripe_customer_id": Who(stripe_customer_id=past.stripe_customer_id),
    }
    rows = await erase(past.pool, names[by], None, BY)
    assert await past.places() == []
    assert rows["customers"] == rows["stripe_customers"] == rows["subscriptions"] == 1
    assert rows["stripe_events"] > 3


async def test_invoices_payments_and_what_was_sold_are_kept(past: Past) -> None:
    query = (
        "SELECT stripe_number, total, amount_paid, customer_id, hosted_invoice_url FROM invoices"
    )
    before = await past.row(query)
    prospect = await preview_erasure(past.pool, Who(email=EMAIL))
    assert (prospect.invoices, prospect.payments, prospect.obstacles) == (1, 1, [])
    await erase(past.pool, Who(email=EMAIL), None, BY)
    assert await past.row(query) == before
    metadata = (await past.row("SELECT metadata FROM subscriptions"))["metadata"]
    assert metadata.pop("erasedAt")
    assert metadata["planId"] == "starter"
    assert "customerEmail" not in metadata


async def test_nobody_is_erased_while_a_subscription_lives(living: Past) -> None:
    before = await living.places()
    with pytest.raises(StillRunningError, match=f"subscription {living.subscription_id} is active"):
        await erase(living.pool, Who(email=EMAIL), None, BY)
    assert await living.places() == before
    assert await living.pool.fetchval("SELECT count(*) FROM billing_erasures") == 0


async def test_nobody_is_erased_while_their_accounts_are_kept(living: Past) -> None:
    row = await living.row("SELECT stripe_subscription_id FROM subscriptions")
    stripe = living.worker.gateway.client.v1
    await stripe.subscriptions.cancel_async(row["stripe_subscription_id"])
    await living.worker.catch_up()
    with pytest.raises(StillRunningError, match=r"account of subscription .* is suspended"):
        await erase(living.pool, Who(id=living.customer_id), None, BY)


async def test_nobody_is_erased_while_they_can_still_pay(
    past: Past, order_a: dict[str, object]
) -> None:
    await past.service.order({**order_a, "customer": {"name": "A", "email": EMAIL}})
    with pytest.raises(StillRunningError, match="can still be paid"):
        await erase(past.pool, Who(email=EMAIL), None, BY)


async def test_nobody_is_erased_while_they_can_still_pay_for_a_domain(past: Past) -> None:
    await past.pool.execute(
        """
        WITH own AS (
            INSERT INTO billing_domains (subscription_id, customer_id, name, unicode_name, skeleton,
                registrable, mode, state)
            SELECT id, customer_id, 'ada.example', 'ada.example', 'ada.example', 'ada.example',
                'register', 'released'
            FROM subscriptions
            RETURNING id
        )
        INSERT INTO billing_domain_renewals
            (domain_id, expires_on, amount, currency, livemode, pay_by, state, next_attempt_at)
        SELECT id, '2030-01-01', 1299, 'usd', FALSE, now(), 'unpaid', now() FROM own
        """
    )
    with pytest.raises(StillRunningError, match=r"year of the domain ada.example is still payable"):
        await erase(past.pool, Who(email=EMAIL), None, BY)


async def test_an_unknown_person_is_not_found(past: Past) -> None:
    with pytest.raises(NotFoundError):
        await erase(past.pool, Who(id=past.subscription_id), None, BY)


async def test_an_erasure_can_be_repeated(past: Past) -> None:
    await erase(past.pool, Who(id=past.customer_id), None, BY)
    await erase(past.pool, Who(id=past.customer_id), None, BY)
    assert await past.places() == []


async def test_the_audit_log_says_who_erased_and_not_whom(past: Past) -> None:
    await erase(past.pool, Who(email=EMAIL), None, BY)
    row = await past.row("SELECT * FROM billing_audit_log WHERE action = 'customer.erase'")
    assert (row["actor"], row["target_id"]) == (BY.name, str(past.customer_id))


async def test_somebody_who_comes_back_is_a_new_customer(
    past: Past, order_a: dict[str, object]
) -> None:
    await erase(past.pool, Who(email=EMAIL), None, BY)
    page = await past.service.buy({**order_a, "customer": {"name": "Ada Q", "email": EMAIL}})
    await past.worker.catch_up()
    row = await past.row(
        "SELECT c.* FROM customers AS c JOIN subscriptions AS s ON s.customer_id = c.id"
        " WHERE s.id = $1::text::uuid",
        page["subscriptionId"],
    )
    assert (row["email"], row["name"]) == (EMAIL, "Ada Q")
    assert row["id"] != past.customer_id
    stripe_customer = await past.row(
        "SELECT * FROM stripe_customers WHERE id = $1", row["stripe_customer_id"]
    )
    assert stripe_customer["email"] == EMAIL
