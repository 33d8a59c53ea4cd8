"""What is billed by usage: how it is metered, and what it costs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from mpanel_billing import money

Aggregation = Literal["sum", "last"]
"""As at Stripe: what was used adds up, or the latest value of a term counts."""

AtLimit = Literal["tell", "suspend"]
"""What follows if usage reaches its limit: a message, or the services are suspended, too."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What a unit costs up to `up_to` of them in a term (None: any number), in minor units."""

    up_to: int | None
    unit_amount: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """How an add-on is metered: in `unit`, of which each term includes some.

    mPanel is told when a term's usage reaches one of `notify_at`; at `limit` follows `at_limit`.
    """

    meter: str
    aggregation: Aggregation
    unit: str
    included: int
    notify_at: tuple[int, ...] = ()
    limit: int | None = None
    at_limit: AtLimit | None = None


def usage_cost(tiers: Sequence[Tier], quantity: int, currency: str) -> int:
    """Return what a term's usage costs in minor units: each unit at the price of its tier.

    Stripe bills each tier as a line of its own and rounds each; less than nothing is nothing.
    """
    cost, counted = 0, 0
    for tier in tiers:
        end = quantity if tier.up_to is None else min(quantity, tier.up_to)
        if end <= counted:
            break
        cost += money.round_to_step((end - counted) * tier.unit_amount, currency)
        counted = end
    return cost


def describe_usage(usage: Usage, tiers: Sequence[Tier], currency: str) -> str:
    """Return what a buyer pays: `100 GB included, then $0.025 per GB up to 1,000, then $0.01`."""
    said = [f"{usage.included:,} {usage.unit} included"] if usage.included else []
    for tier in tiers[len(said) :]:
        per = f" per {usage.unit}" if len(said) <= bool(usage.included) else ""
        end = f" up to {tier.up_to:,}" if tier.up_to is not None else ""
        said.append(f"{_unit_price(tier.unit_amount, currency)}{per}{end}")
    return ", then ".join(said)


def _unit_price(amount: Decimal, currency: str) -> str:
    """Format an amount that may be a fraction of a minor unit."""
    if amount == int(amount):
        return money.format_money(int(amount), currency)
    zero = money.format_money(0, currency)
    digits = re.sub(r"[0-9.,]+", "{}", zero, count=1)
    return digits.format(plain(money.to_decimal(1, currency) * amount))


def read_tiers(rows: Iterable[Mapping[str, Any]] | None) -> tuple[Tier, ...]:
    """Read the tiers of a price as the database and Stripe have them; of most there are none."""
    return tuple(Tier(row["up_to"], Decimal(row["unit_amount"])) for row in rows or ())


def tier_rows(tiers: Iterable[Tier]) -> list[dict[str, Any]] | None:
    """Return tiers as the database has them; None if there are none."""
    rows = [{"up_to": tier.up_to, "unit_amount": plain(tier.unit_amount)} for tier in tiers]
    return rows or None


def plain(amount: Decimal) -> str:
    """Return an amount without zeros at its end, and without an exponent."""
    return f"{amount.normalize():f}"
