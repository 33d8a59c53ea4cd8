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
