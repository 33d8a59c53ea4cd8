"""Whether a process can serve requests: the database does what they need."""

from mpanel_billing.database import migrations, repository
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import DatabaseUnavailableError

_READ_ONLY = "the database accepts no writes: it is a standby, or set to read-only"


async def reason_not_ready(pool: Pool, *, for_writes: bool) -> str | None:
    """Return why requests cannot be served now, for an operator; None if they can.

    With `for_writes` a read-only database is a reason. Late work is none: it would take every
    instance out of rotation at once.
    """
    try:
        async with acquired(pool) as conn:
            version = await migrations.schema_version(conn)
            read_only = await repository.is_read_only(conn)
    except DatabaseUnavailableError:
        return _describe_outage(pool)
    expected = migrations.expected_version()
    if version is None or version < expected:
        is_at = f"the schema is at {version or 'nothing'}, not at {expected}"
        return f"{is_at}: run `mpanel-billing migrate up`"
    return _READ_ONLY if read_only and for_writes else None


def _describe_outage(pool: Pool) -> str:
    most = pool.get_max_size()
    if pool.get_size() == most and pool.get_idle_size() == 0:
        return f"all {most} connections to the database are in use"
    return "the database does not respond"
