"""A burst of paid subscriptions, as the mirror has them once their webhooks have come."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.mirror.service import apply_snapshots
from mpanel_billing.mirror.snapshot import Snapshot, snapshot_of_event
from mpanel_billing.resources import DEFAULT_CATALOGUE
from tests import stripe_objects as made

PRICE = "price_starter_monthly_usd"

_CREATED = 1_790_000_000
_BUYERS = """
WITH buyers AS (
    INSERT INTO customers (email, name, stripe_customer_id)
    SELECT 'buyer' || n || '@example.com', 'Buyer ' || n, 'cus_' || n
    FROM generate_series(1, $1::integer) AS n
    RETURNING id, stripe_customer_id
)
INSERT INTO stripe_customers (id, customer_id, livemode)
SELECT stripe_customer_id, id, FALSE
FROM buyers
"""


async def open_shop(pool: Pool, buyers: int) -> None:
    """Sell the default catalogue to that many known customers."""
    await apply_catalogue(pool, read_catalogue_file(DEFAULT_CATALOGUE))
    await pool.execute(
        "UPDATE prices SET stripe_price_id = 'price_' || lookup_key, livemode = FALSE"
    )
    await pool.execute("UPDATE products SET stripe_product_id = 'prod_' || code")
    await pool.execute(_BUYERS, buyers)


async def sell_at_once(pool: Pool, buyers: int) -> None:
    """Mirror a paid subscription of each buyer, all in one transaction: their jobs come at once."""
    async with transaction(pool) as conn:
        await apply_snapshots(conn, [*_subscriptions(buyers), *_invoices(buyers)])


def _subscriptions(buyers: int) -> Iterable[Snapshot]:
    for n in range(1, buyers + 1):
        subscription = made.subscription(f"sub_{n}", customer=f"cus_{n}", price=PRICE)
        yield _snapshot(subscription, "customer.subscription.created", n)


def _invoices(buyers: int) -> Iterable[Snapshot]:
    for n in range(1, buyers + 1):
        invoice = made.invoice(f"in_{n}", subscription=f"sub_{n}", customer=f"cus_{n}")
        yield _snapshot(invoice, "invoice.paid", n)


def _snapshot(stripe_object: dict[str, Any], type_: str, number: int) -> Snapshot:
    return snapshot_of_event(
        stripe_object,
        event_id=f"evt_{type_}_{number}",
        event_type=type_,
        created=datetime.fromtimestamp(_CREATED, UTC),
        livemode=False,
        previous=None,
    )
