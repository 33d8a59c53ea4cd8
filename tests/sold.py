"""A subscription that is sold once in a run, for the tests that begin with one: they get copies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.inline_worker import InlineWorker
from tests.postgres import Stocked
from tests.service import ORDER
from tests.stocks import Stocks


@dataclass(frozen=True)
class Sold(Stocked):
    """A paid, provisioned subscription, and the cookies of the browser that ordered it."""

    subscription_id: str
    cookies: Mapping[str, str]


@pytest.fixture(scope="session")
def sold_once(stocks: Stocks, stocked: Stocked) -> Sold:
    """Starter, monthly, with daily backups: a stock."""
    sold, facts = stocks.filled("sold", stocked, _sell)
    return Sold(sold.template, sold.sandbox_state, **facts)


async def _sell(worker: InlineWorker) -> dict[str, Any]:
    order = await worker.service.buy(ORDER)
    await worker.catch_up()
    return {"subscription_id": order["subscriptionId"], "cookies": worker.service.cookies}
