"""The parts of the monthly recurring revenue: what each product brings, what each coupon takes off.

The views have whole minor units that add up to `billing_mrr`; so do all currencies as one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.revenue import repository
from mpanel_billing.revenue.figures import Row
from mpanel_billing.revenue.movements import apportion, rounded
from mpanel_billing.revenue.rates import Rates


@dataclass(frozen=True, slots=True)
class Parts:
    """How rows of several currencies are added up: by a column; `first` orders them."""

    by: str
    first: str


PRODUCTS = Parts("product", "mrr")
COUPONS = Parts("coupon", "taken_off")
MONEY = ("mrr", "taken_off")
_COUNTS = ("subscriptions", "customers")


async def read_products(pool: Pool, *, livemode: bool) -> Sequence[Row]:
    """Return what each product brings, by currency, the one that brings most first."""
    async with acquired(pool) as conn:
        return [dict(row) for row in await repository.list_products(conn, livemode=livemode)]


async def read_coupons(pool: Pool, *, livemode: bool) -> Sequence[Row]:
    """Return what each coupon takes off, by currency, the one that takes off most first."""
    async with acquired(pool) as conn:
        return [dict(row) for row in await repository.list_coupons(conn, livemode=livemode)]


def parts_in_one(rows: Iterable[Row], parts: Parts, rates: Rates) -> Sequence[Row]:
    """Return rows of several currencies as one, at the rates of today. See `Rates.missing`.

    A customer who pays in two currencies counts twice.
    """
    together: dict[str, list[Row]] = {}
    for row in rows:
        together.setdefault(row[parts.by], []).append(row)
    money = {name: _converted(together, name, rates) for name in MONEY}
    added = [
        {**_added(each, rates), **{name: money[name][key] for name in MONEY}}
        for key, each in together.items()
    ]
    return sorted(added, key=lambda row: (-row[parts.first], row[parts.by]))


def _converted(together: Mapping[str, Sequence[Row]], name: str, rates: Rates) -> Mapping[str, int]:
    """Return a column in whole units of one currency, which add up to what all of it is."""
    exact = {
        key: sum(
            (rates.convert(row[name], row["currency"], rates.today) for row in each), Decimal(0)
        )
        for key, each in together.items()
    }
    return apportion(exact, rounded(sum(exact.values(), Decimal(0))))


def _added(each: Sequence[Row], rates: Rates) -> dict[str, object]:
    counts = {name: sum(row[name] for row in each) for name in _COUNTS}
    ends = {"ends_at": _last([row["ends_at"] for row in each])} if "ends_at" in each[0] else {}
    return {**each[0], **counts, **ends, "currency": rates.into}


def _last(ends: Sequence[datetime | None]) -> datetime | None:
    """Return the last end; None if one has none."""
    known = [at for at in ends if at is not None]
    return max(known) if len(known) == len(ends) else None
