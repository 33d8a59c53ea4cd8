"""What brings the revenue: plans and add-ons, and what coupons take off."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any

from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys
from mpanel_billing.revenue import exchange, parts
from mpanel_billing.revenue.figures import Row
from mpanel_billing.revenue.parts import COUPONS, MONEY, PRODUCTS, Parts, parts_in_one
from mpanel_billing.revenue.rates import Rates

pages = Pages()

MOST = 100
"""How many products and how many coupons the page has: those that matter most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: the parts of a currency, or of all of them in one, `into`."""

    currency: str | None
    into: str | None
    currencies: Sequence[str]
    targets: Sequence[str]
    missing: Mapping[str, date]
    products: Sequence[Row]
    coupons: Sequence[Row]


@pages.page("/console/figures/products", scope="billing:read")
async def show_products(visit: Visit, given: Given) -> Page:
    """Show what each product adds and each coupon takes off, in one currency or all as one."""
    asked = await read_asked(visit, given)
    products, coupons = asked.products, asked.coupons
    values = {
        "currency": asked.currency,
        "currencies": asked.currencies,
        "into": asked.into,
        "targets": asked.targets,
        "missing": asked.missing,
        "products": products[:MOST],
        "coupons": coupons[:MOST],
        "is_cut": len(products) > MOST or len(coupons) > MOST,
        "total": {name: sum(row[name] for row in products) for name in MONEY},
    }
    return Page("figures_by_part.html", values)


async def read_asked(visit: Visit, given: Given) -> Asked:
    """Return all parts of the revenue, in the currency that the address names."""
    pool, livemode = visit.app[keys.POOL], visit.app[keys.SETTINGS].livemode
    products = await parts.read_products(pool, livemode=livemode)
    coupons = await parts.read_coupons(pool, livemode=livemode)
    rates = await exchange.list_rates(pool)
    currencies = sorted({row["currency"] for row in products})
    targets = sorted({row["to_currency"] for row in rates})
    into = next((one for one in targets if one == given.text("in")), None)
    named = given.text("currency")
    largest = max(products, key=itemgetter("customers"), default={"currency": None})
    currency = into or (named if named in currencies else largest["currency"])
    counting = exchange.rates_into(into, rates) if into else None
    shown = _in(counting) if counting else _of(currency)
    products, coupons = shown(products, PRODUCTS), shown(coupons, COUPONS)
    missing = counting.missing if counting else {}
    return Asked(currency, into, currencies, targets, missing, products, coupons)


Shown = Callable[[Sequence[Row], Parts], Sequence[Any]]


def _of(currency: str | None) -> Shown:
    return lambda rows, _: [row for row in rows if row["currency"] == currency]


def _in(rates: Rates) -> Shown:
    """Return all currencies as one; nothing if a rate is missing."""

    def shown(rows: Sequence[Row], of: Parts) -> Sequence[Row]:
        together = parts_in_one(rows, of, rates)
        return [] if rates.missing else together

    return shown
