"""A name that a customer has, as a registrar's driver has registered it."""

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
