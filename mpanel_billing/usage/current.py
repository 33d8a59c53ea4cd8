"""What a subscription has used in its present term, and what that will cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from mpanel_billing.catalogue.usage import Aggregation, AtLimit, Tier, usage_cost
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.usage import repository

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CurrentUsage:
    """What was used of a meter in the present term, in units of the add-on.

    `waiting` counts what Stripe has not been told yet, `unbilled` what it will not bill. `forecast`
    is what it comes to at the end of the term if it goes on like that, as of `at`. `most` is the
    limit of a term, at which follows `action`; `suspends`: it has, and an operator has not lifted
    it.
    """

    meter: str
    aggregation: Aggregation
    product_code: str
    product_name: str
    unit: str
    included: int
    term_start: datetime
    term_end: datetime
    quantity: int
    waiting: int
    unbilled: int
    currency: str
    tiers: tuple[Tier, ...]
    most: int | None
    action: AtLimit | None
    is_limit_reached: bool
    suspends: bool
    lifted_at: datetime | None
    at: datetime

    @property
    def cost(self) -> int:
        """What the usage until now costs, in minor units, before discounts and taxes."""
        return usage_cost(self.tiers, self.quantity, self.currency)

    @property
    def forecast(self) -> int:
        """The usage of the whole term: as fast as until now, or the latest value.

        What was used in the first hours is taken for a day's: it says too little of the term.
        """
        elapsed = max(self.at - self.term_start, _DAY)
        if self.aggregation == "last" or self.at >= self.term_end:
            return self.quantity
        return max(
            self.quantity, round(self.quantity * ((self.term_end - self.term_start) / elapsed))
        )

    @property
    def forecast_cost(self) -> int:
        """What that would cost."""
        return usage_cost(self.tiers, self.forecast, self.currency)


async def read_current(pool: Pool, subscription_id: UUID) -> Sequence[CurrentUsage]:
    """Return what a subscription has used of each of its meters; of an unknown one nothing."""
    async with acquired(pool) as conn:
        return [CurrentUsage(**row) for row in await repository.list_current(conn, subscription_id)]
