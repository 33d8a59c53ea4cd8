"""One clock for a world: PostgreSQL's `now()`, for whatever reads it, and the sandbox's time.

In a copy of the database `public.now()` goes before PostgreSQL's own: the views, the queries and
the defaults of columns read a time that a test can move forward. Their text stays as it is.
"""

import asyncio
import time
from pathlib import Path

import asyncpg

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.repeatables import texts_of
from mpanel_billing.resources import SQL
from stripe_sandbox.client import SandboxClient

_PATH = "public, pg_catalog"

_FUNCTION = """
CREATE TABLE public.clock_of_the_tests (ahead interval NOT NULL);
INSERT INTO public.clock_of_the_tests VALUES ('0');
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
AS 'SELECT pg_catalog.now() + ahead FROM public.clock_of_the_tests';
"""

_DEFAULTS = """
SELECT format(
    'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT public.now() AT TIME ZONE %L',
    d.adrelid::regclass, a.attname, 'UTC'
) AS change
FROM pg_attrdef AS d
JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE pg_get_expr(d.adbin, d.adrelid) IN ('CURRENT_TIMESTAMP', 'now()')
  AND a.atttypid = 'timestamp'::regtype
UNION ALL
SELECT format(
    'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT public.now()', d.adrelid::regclass, a.attname
)
FROM pg_attrdef AS d
JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE pg_get_expr(d.adbin, d.adrelid) IN ('CURRENT_TIMESTAMP', 'now()', 'pg_catalog.now()')
  AND a.atttypid = 'timestamptz'::regtype
"""


def view_texts() -> dict[str, str]:
    """Return the texts of the views and routines, by file."""
    return texts_of(Path(SQL))


def move_clock_into(database_url: str) -> None:
    """Give a migrated database the movable clock."""
    asyncio.run(_move_clock_into(database_url))


async def _move_clock_into(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"search_path": _PATH})
    await connection.execute(_FUNCTION)
    for row in await connection.fetch(_DEFAULTS):
        await connection.execute(row["change"])
    for text in view_texts().values():
        await connection.execute(text)
    await connection.close()


async def find_clock_first(database_url: str) -> None:
    """Let all sessions of a copy of the database find the movable clock before PostgreSQL's."""
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"ALTER DATABASE {name} SET search_path = {_PATH}")
    await connection.close()


async def advance(pool: Pool, stripe: SandboxClient, seconds: float) -> None:
    """Let time pass for Stripe and for the database; everything due at Stripe has happened.

    A second or less passes by itself: Stripe's clock may have reached it before it is told.
    """
    if seconds < 2:
        await stripe.wait_idle(30)
        return
    target = await stripe.now() + round(seconds)
    await pool.execute(
        "UPDATE public.clock_of_the_tests SET ahead = make_interval(secs => $1)",
        float(target - int(time.time())),
    )
    await stripe.advance_time(target)
    await stripe.wait_idle(30)
