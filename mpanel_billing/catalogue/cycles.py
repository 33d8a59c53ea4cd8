"""Billing cycles: the terms of a plan, and what clients call them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mpanel_billing.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class BillingCycle:
    """One term: its canonical code, its length, its interval at Stripe and its label."""

    code: str
    months: int
    interval: Literal["month", "year"]
    interval_count: int
    label: str
    aliases: tuple[str, ...] = ()


BILLING_CYCLES: Mapping[str, BillingCycle] = MappingProxyType(
    {
        cycle.code: cycle
        for cycle in (
            BillingCycle("monthly", 1, "month", 1, "Monthly"),
            BillingCycle("quarterly", 3, "month", 3, "Quarterly"),
            BillingCycle("semi-annually", 6, "month", 6, "Every six months"),
            BillingCycle("annually", 12, "year", 1, "Yearly", ("yearly", "annual", "oneYear")),
            BillingCycle("biennially", 24, "year", 2, "Every two years", ("biennial", "twoYears")),
            BillingCycle(
                "triennially", 36, "year", 3, "Every three years", ("triennial", "threeYears")
            ),
        )
    }
)
"""The cycles by canonical code (mPanel's), from the shortest term to the longest."""

_BY_NAME = {
    name.casefold(): cycle.code
    for cycle in BILLING_CYCLES.values()
    for name in (cycle.code, *cycle.aliases)
}


_BY_MONTHS = {cycle.months: cycle.code for cycle in BILLING_CYCLES.values()}
_MONTHS = {"month": 1, "year": 12}


def canonical_cycle(text: str) -> str:
    """Return the canonical code of a client's name for a term; InvalidRequestError if unknown."""
    code = _BY_NAME.get(text.strip().casefold())
    if code is None:
        known = ", ".join(BILLING_CYCLES)
        msg = f'Unknown billing cycle "{text.strip()[:40]}". Please choose one of: {known}.'
        raise InvalidRequestError(
            msg, code="unknown_cycle", fields={"billingCycle": f"must be one of: {known}"}
        )
    return code


def cycle_of_interval(interval: str, interval_count: int) -> str | None:
    """Return our code for Stripe's recurring interval; None if we do not sell that term."""
    return _BY_MONTHS.get(interval_count * _MONTHS.get(interval, 0))
