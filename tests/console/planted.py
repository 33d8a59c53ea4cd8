"""What the lists of the console are about: domains, servers, and two records that are merged."""

from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool
from mpanel_billing.subscriptions.merging import CustomerRequest, merge_customers

_DOMAIN = """
INSERT INTO billing_domains (name, unicode_name, skeleton, registrable, mode, state, customer_id, subscription_id,
    held_at, paid_at, registered_at, expires_at, driver, last_error, refund_error, price, order_total, currency)
SELECT $2, $2, $2, $2, 'register', $3, s.customer_id, s.id, now(), now(),
    CASE WHEN $3 = 'active' THEN now() END, CASE WHEN $3 = 'active' THEN now() + $4 * interval '1 day' END, $5, $6, $7, 999, 2000, 'usd'
FROM subscriptions AS s
WHERE s.id = $1
RETURNING id
"""  # noqa: E501


async def plant_domains(pool: Pool, subscription: UUID) -> dict[str, UUID]:
    """Add a domain that its registrar refuses, a lost one, and one that expires."""
    rows: dict[str, tuple[str, int, str | None, str | None, str | None]] = {
        "refused.example": ("registering", 0, "http", "The registrant has no phone.", None),
        "lost.example": ("failed", 0, "http", "It is taken.", "The charge was disputed."),
        "soon.example": ("active", 3, "http", None, None),
    }
    return {
        name: await pool.fetchval(_DOMAIN, subscription, name, *columns)
        for name, columns in rows.items()
    }


async def plant_servers(pool: Pool, subscription: UUID | None = None) -> None:
    """Add three servers, one of which fails; the account of the subscription is on web1."""
    await pool.execute(
        "INSERT INTO billing_servers (product_type, name, driver, weight, capacity, failures,"
        " failing_since, failed_at, last_error) VALUES"
        " ('hosting', 'web1', 'log', 1, 100, 0, NULL, NULL, NULL),"
        " ('hosting', 'web2', 'log', 3, 200, 0, NULL, NULL, NULL),"
        " ('hosting', 'web3', 'log', 1, NULL, 3, now(), now(), 'HTTP 503')"
    )
    await pool.execute(
        "UPDATE tenant_services SET server = 'web1', actual = 'active', external_ref = 'acct_1'"
        " WHERE subscription_id = $1 AND product_type = 'hosting'",
        subscription,
    )


async def plant_merge(pool: Pool, into: UUID) -> UUID:
    """Merge the record of an order without an account into another one; return its id."""
    id_: UUID = await pool.fetchval(
        "INSERT INTO customers (name, email) VALUES ('Ada L.', 'ada@work.example') RETURNING id"
    )
    await merge_customers(pool, CustomerRequest(Actor("panel-backend"), id_), into)
    return id_
