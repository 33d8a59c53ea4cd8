"""The API keys: which may do more than their holder is likely to need."""

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.doctor.finding import Finding, ok, some, warning

NARROW = "create keys with only the scopes that are used, and revoke these (docs/access.md)"


async def check_keys(pool: Pool) -> list[Finding]:
    """Look for keys with the scope `billing`: a leaked one can refund and sign in as anyone."""
    async with acquired(pool) as conn:
        broad = await repository.list_broad_keys(conn)
    if not broad:
        return [ok("api keys", "none has the scope billing, which includes all of billing:...")]
    text = f"may change, refund and sign in for any customer: {some(broad)}"
    return [warning("api keys", text, NARROW)]
