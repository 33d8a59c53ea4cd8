"""The tables of the console as CSV: the figures as the command line writes them, and work lists."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from mpanel_billing.console.pages import Given, Pages, Table
from mpanel_billing.console.routes import figures, figures_by_part
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import ConflictError
from mpanel_billing.http import keys
from mpanel_billing.revenue import tables
from mpanel_billing.search.work_lists import list_debtors
from mpanel_billing.subscriptions.disputes import list_latest
from mpanel_billing.subscriptions.lookup import CustomerRef

pages = Pages()

MOST = 20_000
"""Lines of a work list. A longer one is refused, so that no file lacks lines unnoticed."""

DEBTORS = tables.Table(
    (
        *("customer_id", "customer", "stripe_invoice_id", "stripe_number", "currency"),
        *("amount_due", "amount_remaining", "due_at", "attempt_count", "next_payment_attempt"),
        "reason",
    ),
    ("amount_due", "amount_remaining"),
)
DISPUTES = tables.Table(
    (
        *("stripe_dispute_id", "stripe_created", "status", "reason", "currency", "amount"),
        *("evidence_due_at", "submissions", "customer_id", "customer", "stripe_invoice_id"),
        *("stripe_number", "stripe_charge_id"),
    ),
    ("amount",),
)


@pages.table("/console/figures/movements.csv", scope="billing:read")
async def tell_movements(visit: Visit, given: Given) -> Table:
    """Return how the revenue changed."""
    asked = await _figures(visit, given)
    table = tables.movements_table(in_one=asked.into is not None)
    rows = [tables.row_of(one) for one in asked.shown.movements]
    return Table(f"movements-by-{asked.period}-{_name(asked.currency)}", table.lines(rows))


@pages.table("/console/figures/cohorts.csv", scope="billing:read")
async def tell_cohorts(visit: Visit, given: Given) -> Table:
    """Return who stayed."""
    asked = await _figures(visit, given)
    return Table(f"cohorts-{_name(asked.currency)}", tables.COHORTS.lines(asked.shown.cohorts))


@pages.table("/console/figures/cash.csv", scope="billing:read")
async def tell_cash(visit: Visit, given: Given) -> Table:
    """Return what was collected and given back."""
    asked = await _figures(visit, given)
    return Table(f"cash-{_name(asked.currency)}", tables.CASH.lines(asked.shown.cash))


@pages.table("/console/figures/failed.csv", scope="billing:read")
async def tell_failed(visit: Visit, given: Given) -> Table:
    """Return which payments failed, and came back."""
    asked = await _figures(visit, given)
    return Table(f"failed-{_name(asked.currency)}", tables.FAILED.lines(asked.shown.failed))


@pages.table("/console/figures/trials.csv", scope="billing:read")
async def tell_trials(visit: Visit, given: Given) -> Table:
    """Return which trials were paid for."""
    asked = await figures.read_asked(visit, given)
    return Table("trials", tables.TRIALS.lines(asked.trials))


@pages.table("/console/figures/products.csv", scope="billing:read")
async def tell_products(visit: Visit, given: Given) -> Table:
    """Return what each plan and add-on brings."""
    asked = await _parts(visit, given)
    return Table(f"products-{_name(asked.currency)}", tables.PRODUCTS.lines(asked.products))


@pages.table("/console/figures/coupons.csv", scope="billing:read")
async def tell_coupons(visit: Visit, given: Given) -> Table:
    """Return what each coupon takes off."""
    asked = await _parts(visit, given)
    return Table(f"coupons-{_name(asked.currency)}", tables.COUPONS.lines(asked.coupons))


@pages.table("/console/debtors.csv", scope="billing:read")
async def tell_debtors(visit: Visit, _: Given) -> Table:
    """Return who owes, in all currencies."""
    mirror = visit.app[keys.MIRROR]
    rows = await list_debtors(mirror.pool, MOST + 1, livemode=mirror.livemode)
    return Table("debtors", DEBTORS.lines(_whole(rows)))


@pages.table("/console/disputes.csv", scope="billing:read")
async def tell_disputes(visit: Visit, given: Given) -> Table:
    """Return the disputes that wait for an answer, or all."""
    only_open = given.text("all") == ""
    mirror = visit.app[keys.MIRROR]
    rows = await list_latest(mirror, CustomerRef(), MOST + 1, only_open=only_open)
    return Table("open-disputes" if only_open else "disputes", DISPUTES.lines(_whole(rows)))


async def _figures(visit: Visit, given: Given) -> figures.Asked:
    asked = await figures.read_asked(visit, given)
    _require_rates(asked.into, asked.shown.missing)
    return asked


async def _parts(visit: Visit, given: Given) -> figures_by_part.Asked:
    asked = await figures_by_part.read_asked(visit, given)
    _require_rates(asked.into, asked.missing)
    return asked


def _require_rates(into: str | None, missing: Mapping[str, date]) -> None:
    """Refuse a table that would be empty because a rate is missing. ConflictError."""
    for currency, day in missing.items():
        raise ConflictError(
            say("figures.no_rate", currency=currency.upper(), into=str(into).upper(), day=str(day))
        )


def _whole(rows: Sequence[Any]) -> Sequence[Any]:
    """Refuse a list that is longer than a file may be. ConflictError."""
    if len(rows) > MOST:
        raise ConflictError(say("refusal.long_list", n=MOST))
    return rows


def _name(currency: str | None) -> str:
    return currency or "none"
