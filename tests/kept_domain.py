"""A name that a customer has at a registrar's driver, and one that could not be obtained."""

from mpanel_billing.database.pool import Pool


async def keep_domain(pool: Pool, customer: str, name: str) -> str:
    """Give a customer a name that no tenant has, and return our id of it."""
    kept: str = await pool.fetchval(
        "INSERT INTO billing_domains (name, unicode_name, skeleton, registrable, mode, state,"
        " customer_id, held_at, registered_at, expires_at, driver, currency)"
        " VALUES ($1, $1, $1, $1, 'register', 'active', $2::text::uuid, now(), now(),"
        " now() + interval '1 year', 'log', 'usd') RETURNING id::text",
        name,
        customer,
    )
    return kept


async def lose_domain(pool: Pool, subscription: str, name: str) -> str:
    """Have a paid order be for a name that could not be obtained, and return our id of that."""
    lost: str = await pool.fetchval(
        "INSERT INTO billing_domains (name, unicode_name, skeleton, registrable, mode, state,"
        " customer_id, subscription_id, price, order_total, currency)"
        " SELECT $1, $1, $1, $1, 'register', 'failed', s.customer_id, s.id, 1299, 2000, 'usd'"
        " FROM subscriptions AS s WHERE s.id::text = $2 RETURNING id::text",
        name,
        subscription,
    )
    await pool.execute(
        "UPDATE subscriptions SET metadata = metadata || $1 WHERE id::text = $2",
        {"domainMode": "register", "domainValue": name},
        subscription,
    )
    return lost
