"""The API keys: which may do more than their holder is likely to need, and which expire soon."""

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.doctor.finding import Finding, ok, some, warning

SOON_DAYS = 30
_NARROW = "create keys with only the scopes that are used, and revoke these (docs/access.md)"
_REPLACE = "create new ones and hand them over; these stop working then (docs/access.md)"


async def check_keys(pool: Pool) -> list[Finding]:
    """Look for keys with the scope `billing`, and for keys in use that expire soon."""
    async with acquired(pool) as conn:
        broad = await repository.list_broad_keys(conn)
        ending = await repository.list_ending_keys(conn, SOON_DAYS)
    findings = [ok("api keys", "none has the scope billing, which includes all of billing:...")]
    if broad:
        text = f"may change, refund and sign in for any customer: {some(broad)}"
        findings = [warning("api keys", text, _NARROW)]
    if ending:
        named = [f"{name} in {days} days" for name, days in ending.items()]
        findings.append(warning("api keys expire", some(named), _REPLACE))
    return findings
