"""The statement that reads all figures."""

from collections.abc import Mapping

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("monitoring")


async def read_figures(conn: Connection) -> Mapping[str, Mapping[tuple[str, ...], float]]:
    """Return values by figure and by its labels."""
    values: dict[str, dict[tuple[str, ...], float]] = {}
    for row in await _queries.read_figures.fetch(conn):
        values.setdefault(row["figure"], {})[tuple(row["labels"])] = row["value"]
    return values


async def has_waiting_jobs(conn: Connection, seconds: float) -> bool:
    """Return whether a job has been due that long in a database that takes writes."""
    waits: bool = await _queries.has_waiting_jobs.fetch_value(conn, seconds=seconds)
    return waits
