"""Random examples of one property, all on the database of one test."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings

from mpanel_billing.database.pool import Pool, create_pool
from tests.service import make_settings


def examples(number: int) -> Callable[[Any], Any]:
    """Try a property with a number of examples; CONVERGENCE_EXAMPLES asks for more."""
    return settings(
        max_examples=int(os.environ.get("CONVERGENCE_EXAMPLES", str(number))),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


@contextmanager
def running_pool(database_url: str) -> Iterator[tuple[asyncio.Runner, Pool]]:
    """Yield a pool, and what runs coroutines with it: Hypothesis calls functions only."""
    with asyncio.Runner() as runner:
        pool = runner.run(create_pool(make_settings(database_url=database_url)))
        try:
            yield runner, pool
        finally:
            runner.run(pool.close())
