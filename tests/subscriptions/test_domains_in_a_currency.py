"""Further years of a domain are in the currency of who pays for them."""

from typing import Any

import pytest

from tests.currencies import sell_in_currencies
from tests.subscriptions.conftest import Backend
from tests.subscriptions.domain_years import Years, sell
from tests.subscriptions.test_domain_renewals import told

__all__ = ["told"]  # a fixture

FIRST, FURTHER = 1945, 2395


@pytest.fixture
async def years(backend: Backend, order_a: dict[str, Any], told: None) -> Years:
    """A domain with a plan that is billed once a year, in yen."""
    await sell_in_currencies(backend.service.pool, backend.worker.gateway)
    yearly = {"billingCycle": "annually", "addonIds": [], "currency": "jpy"}
    return await sell(backend, order_a, **yearly)


async def test_a_year_is_told_and_charged_in_yen(years: Years) -> None:
    (first,) = await years.backend.invoices(years.subscription)
    assert (first["currency"], first["amountPaid"]) == ("jpy", 4480 + 755 + FIRST)
    own = await years.domain()
    assert (own["currency"], own["renewal_price"]) == ("jpy", FURTHER)
    await years.before_expiry(29)
    assert await years.charged() == [(FURTHER, "paid")]
    assert await years.states() == ["renewed"]
    (invoice, _) = (await years.worker.gateway.client.v1.invoices.list_async({"limit": 2})).data
    assert invoice.currency == "jpy"


async def test_who_was_never_told_a_price_hears_of_the_expiry_and_what_a_year_costs(
    years: Years,
) -> None:
    pool = years.backend.service.pool
    await pool.execute(
        "UPDATE billing_domains SET currency = NULL, renewal_price = NULL, auto_renew = FALSE"
    )
    await years.before_expiry(29)
    assert await years.charged() == []
    told = await pool.fetchval("SELECT data FROM billing_messages WHERE type = 'domain.expiring'")
    assert (told["domain"]["currency"], told["domain"]["renewalPrice"]) == ("jpy", FURTHER)
