"""Rates that the operator has set, for figures of several currencies as one.

A rate counts from its first day until the next one of the same two currencies. Nothing is guessed:
a rate is neither turned around nor made of two others. A period counts at the rate of its last day,
the present one at that of today.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from mpanel_billing.errors import ConflictError
from mpanel_billing.money import decimals_of
from mpanel_billing.revenue.periods import Period, shift


class MissingRateError(ConflictError):
    """Amounts cannot be converted: a rate was never set for a day."""

    code = "rate_missing"


@dataclass(frozen=True, slots=True)
class Rate:
    """What a unit of one currency is in another, from a day on."""

    from_currency: str
    begins_on: date
    rate: Decimal


@dataclass(slots=True)
class Rates:
    """The rates into one currency; remembers the first day for which each one was missing."""

    into: str
    rates: Sequence[Rate]
    today: date
    missing: dict[str, date] = field(default_factory=dict)

    def convert(self, amount: Decimal | int, currency: str, day: date) -> Decimal:
        """Return minor units of one currency in those of the other, not rounded.

        Without a rate it is remembered as missing, and 0; see `check`.
        """
        if currency == self.into or not amount:
            return Decimal(amount)
        counting = [
            one for one in self.rates if one.from_currency == currency and one.begins_on <= day
        ]
        if not counting:
            self.missing[currency] = min(day, self.missing.get(currency, day))
            return Decimal(0)
        rate = max(counting, key=lambda one: one.begins_on).rate
        return (amount * rate).scaleb(decimals_of(self.into) - decimals_of(currency))

    def last_day(self, starts_on: date, period: Period) -> date:
        """Return the day whose rate counts for a period."""
        return min(shift(starts_on, period, 1) - timedelta(days=1), self.today)

    def check(self) -> None:
        """Raise MissingRateError, which says each rate that was missing, and how to set it."""
        if self.missing:
            into = self.into.upper()
            told = [
                f"from {currency.upper()} to {into} on {day}"
                for currency, day in sorted(self.missing.items())
            ]
            currency = next(iter(sorted(self.missing))).upper()
            advice = f"mpanel-billing figures rate set {currency} {into} RATE --from DATE"
            msg = f"There is no rate {', none '.join(told)}: `{advice}`."
            raise MissingRateError(msg)
