"""Whether a process can serve requests: the database responds and its schema is current."""

from mpanel_billing.database import migrations
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import DatabaseUnavailableError


async def reason_not_ready(pool: Pool) -> str | None:
    """Return why requests cannot be served now, for an operator; None if they can.

    Late work is no reason: it would take every instance out of rotation at once.
    """
    try:
        async with acquired(pool) as conn:
            version = await migrations.schema_version(conn)
    except DatabaseUnavailableError:
        return _describe_outage(pool)
    expected = migrations.expected_version()
    if version is None or version < expected:
        return f"the schema is at {version or 'nothing'}, not at {expected}: run `make migrate`"
    return None


def _describe_outage(pool: Pool) -> str:
    most = pool.get_max_size()
    if pool.get_size() == most and pool.get_idle_size() == 0:
        return f"all {most} connections to the database are in use"
    return "the database does not respond"
