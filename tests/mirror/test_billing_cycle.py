"""`subscriptions.billing_cycle` says what is billed now, whatever order the events came in."""

from itertools import permutations
from typing import Any

import pytest

from tests import stripe_objects as made
from tests.convergence.rows import CATALOGUE
from tests.inbox import Inbox

T = 1_790_000_000


def billed(*prices: tuple[str, str, str, int]) -> dict[str, Any]:
    """Return a subscription to prices: id, product, interval and count."""
    items = []
    for number, (price, product, interval, count) in enumerate(prices):
        [item] = made.subscription(price=price)["items"]["data"]
        recurring = {"interval": interval, "interval_count": count}
        priced = item["price"] | {"product": product, "recurring": recurring}
        items.append(item | {"id": f"si_{number}", "price": priced})
    return made.subscription(items=items)


MONTHLY = ("price_1", "prod_web", "month", 1)
YEARLY = ("price_yearly", "prod_web", "year", 1)
WEEKLY = ("price_weekly", "prod_web", "week", 1)
FIVE_MONTHS = ("price_five", "prod_web", "month", 5)
DISK_WEEKLY = ("price_disk_weekly", "prod_disk", "week", 1)
FOREIGN_YEARLY = ("price_else", "prod_else", "year", 1)
FOREIGN_MONTHLY = ("price_other", "prod_else", "month", 1)


@pytest.mark.parametrize(
    ("now", "cycle"),
    [
        pytest.param([MONTHLY], "monthly", id="a plan"),
        pytest.param([WEEKLY], None, id="a term that mPanel has no word for"),
        pytest.param([FIVE_MONTHS], None, id="months that are no cycle"),
        pytest.param([DISK_WEEKLY, YEARLY], "annually", id="the plan's, of several"),
        pytest.param([FOREIGN_YEARLY], "annually", id="no plan, one term"),
        pytest.param([FOREIGN_YEARLY, FOREIGN_MONTHLY], None, id="no plan, several terms"),
    ],
)
async def test_the_cycle_is_that_of_the_items_whatever_came_before(
    inbox: Inbox, now: list[tuple[str, str, str, int]], cycle: str | None
) -> None:
    await inbox.pool.execute(CATALOGUE)
    events = [(billed(MONTHLY), T), (billed(YEARLY), T + 10), (billed(*now), T + 20)]
    for number, order in enumerate(permutations(events)):
        id_ = f"sub_{number}"
        for about, created in order:
            event = about | {"id": id_, "customer": f"cus_{number}"}
            for item in event["items"]["data"]:
                item["id"] = f"{item['id'].partition('of')[0]}of{number}"
            await inbox.deliver("customer.subscription.updated", event, created=created)
        assert (await inbox.subscription(id_))["billing_cycle"] == cycle, order
