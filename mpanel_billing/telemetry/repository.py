"""The statements that read the figures."""

from collections.abc import Iterable, Mapping

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("monitoring")


async def read_figures(conn: Connection) -> Mapping[str, Mapping[tuple[str, ...], float]]:
    """Return values by figure and by its labels."""
    return _by_figure(await _queries.read_figures.fetch(conn))


async def read_dear(conn: Connection) -> Mapping[str, Mapping[tuple[str, ...], float]]:
    """Return what is dearer to count: troubles by kind, accounts by server, and revenue."""
    trouble = await _queries.read_trouble.fetch(conn)
    servers = await _queries.read_servers.fetch(conn)
    return _by_figure([*trouble, *servers, *await _queries.read_money.fetch(conn)])


def _by_figure(rows: Iterable[asyncpg.Record]) -> Mapping[str, Mapping[tuple[str, ...], float]]:
    values: dict[str, dict[tuple[str, ...], float]] = {}
    for row in rows:
        values.setdefault(row["figure"], {})[tuple(row["labels"])] = row["value"]
    return values


async def has_waiting_jobs(conn: Connection, seconds: float) -> bool:
    """Return whether a job has been due that long in a database that takes writes."""
    waits: bool = await _queries.has_waiting_jobs.fetch_value(conn, seconds=seconds)
    return waits
