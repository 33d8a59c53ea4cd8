"""The rates that the operator sets (docs/figures.md); each change of one is in the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import InvalidRequestError, NotFoundError
from mpanel_billing.money import STRIPE_CURRENCIES
from mpanel_billing.revenue import repository
from mpanel_billing.revenue.figures import Row
from mpanel_billing.revenue.in_one import Sums, movements_in_one, rows_in_one
from mpanel_billing.revenue.movements import Movements
from mpanel_billing.revenue.parts import Parts, parts_in_one
from mpanel_billing.revenue.periods import Period
from mpanel_billing.revenue.rates import Rate, Rates

LARGEST_RATE = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Pair:
    """The two currencies of a rate (ISO codes, lower case), and its first day."""

    from_currency: str
    to_currency: str
    begins_on: date

    def __post_init__(self) -> None:
        """InvalidRequestError for a currency that Stripe does not have, or one with itself."""
        for currency in (self.from_currency, self.to_currency):
            if currency not in STRIPE_CURRENCIES:
                msg = f"{currency.upper()} is no currency that Stripe can charge."
                raise InvalidRequestError(msg)
        if self.from_currency == self.to_currency:
            msg = "A rate is from one currency to another."
            raise InvalidRequestError(msg)

    @property
    def values(self) -> tuple[str, str, date]:
        """What it is stored under."""
        return self.from_currency, self.to_currency, self.begins_on

    @property
    def target(self) -> Target:
        """What the audit log says."""
        return Target("rate", f"{self.from_currency}/{self.to_currency}/{self.begins_on}")


async def list_rates(pool: Pool) -> Sequence[Row]:
    """Return all rates, by currencies and day."""
    async with acquired(pool) as conn:
        return [dict(row) for row in await repository.list_rates(conn)]


def rates_into(into: str, rates: Sequence[Row]) -> Rates:
    """Return the rates into a currency; `rates` are all."""
    counting = [
        Rate(row["from_currency"], row["begins_on"], row["rate"])
        for row in rates
        if row["to_currency"] == into
    ]
    return Rates(into, counting, datetime.now(UTC).date())


async def movements_into(
    pool: Pool, moved: Sequence[Movements], period: Period, into: str
) -> Sequence[Movements]:
    """Return movements of several currencies as one. MissingRateError."""
    rates = rates_into(into, await list_rates(pool))
    shown = list(movements_in_one(moved, period, rates))
    rates.check()
    return shown


async def rows_into(pool: Pool, rows: Sequence[Row], sums: Sums, into: str) -> Sequence[Row]:
    """Return rows of several currencies as rows of one. MissingRateError."""
    rates = rates_into(into, await list_rates(pool))
    shown = rows_in_one(rows, sums, rates)
    rates.check()
    return shown


async def parts_into(pool: Pool, rows: Sequence[Row], parts: Parts, into: str) -> Sequence[Row]:
    """Return the parts of the revenue of several currencies as of one. MissingRateError."""
    rates = rates_into(into, await list_rates(pool))
    shown = parts_in_one(rows, parts, rates)
    rates.check()
    return shown


async def set_rate(pool: Pool, pair: Pair, rate: Decimal, by: Actor) -> Decimal | None:
    """Set a rate from a day on; return the one that it replaces. InvalidRequestError."""
    if not 0 < rate <= LARGEST_RATE:
        msg = f"A rate is more than 0, and {LARGEST_RATE:,} at most."
        raise InvalidRequestError(msg)
    async with transaction(pool) as conn:
        former = await repository.set_rate(conn, pair.values, rate, by.name)
        details = {"rate": str(rate), "former": None if former is None else str(former)}
        await audit.record(conn, by, "rate.set", pair.target, details)
    return former


async def remove_rate(pool: Pool, pair: Pair, by: Actor) -> None:
    """Remove the rate that begins on a day; the one before it goes on. NotFoundError."""
    async with transaction(pool) as conn:
        rate = await repository.remove_rate(conn, pair.values)
        if rate is None:
            msg = f"There is no rate {pair.target.id}."
            raise NotFoundError(msg)
        await audit.record(conn, by, "rate.remove", pair.target, {"rate": str(rate)})
