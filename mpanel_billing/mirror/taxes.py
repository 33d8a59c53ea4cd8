"""The taxes of invoices and credit notes, as their columns `taxes` have them.

A line has the tax at one rate, in minor units, whether it is added to the prices or part of them:
`amount`, the `taxable_amount` that Stripe computed it from, and `net`, what was sold at the rate
before the tax. They differ where nothing is taxed: of a reverse charge or an exempt customer Stripe
says that nothing is taxable, and the net is still to be reported.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mpanel_billing.mirror.reading import Fields

Taxes = list[dict[str, Any]]

_TOTALS = ("total_taxes", "total_tax_amounts", "tax_amounts")
"""Of an invoice or credit note: since basil, and before it."""

_OF_LINES = ("taxes", "tax_amounts")


class _Rate(NamedTuple):
    """What tells the lines of one document apart."""

    tax_rate: str | None
    inclusive: bool
    reason: str | None


def read_taxes(fields: Fields, total: int) -> Taxes | None:
    """Return the taxes of an invoice or credit note with that total; None if it has none."""
    totals = _listed(fields, _TOTALS)
    if totals is None:
        return _of_one_sum(fields, total)
    if not totals:
        return None
    taxed = [(_rate(tax), tax.whole("amount") or 0, tax.whole("taxable_amount")) for tax in totals]
    before_taxes = total - sum(amount for _, amount, _ in taxed)
    nets = _Nets(fields, before_taxes if len(taxed) == 1 else None)
    return [
        {
            **rate._asdict(),
            "amount": amount,
            "taxable_amount": taxable or 0,
            "net": taxable or nets.of(rate),
        }
        for rate, amount, taxable in sorted(taxed, key=lambda tax: (str(tax[0]), tax[1]))
    ]


def sum_of_taxes(taxes: Taxes | None) -> int:
    """Return all taxes, whether they are part of the prices or added to them."""
    return sum(tax["amount"] for tax in taxes) if taxes else 0


def _of_one_sum(fields: Fields, total: int) -> Taxes | None:
    """Old payloads have a sum of all taxes, and say nothing of rates."""
    amount = fields.whole("tax")
    if not amount:
        return None
    net = total - amount
    return [
        {
            **_Rate(None, inclusive=False, reason=None)._asdict(),
            "amount": amount,
            "taxable_amount": net,
            "net": net,
        }
    ]


def _listed(fields: Fields, names: Sequence[str]) -> Sequence[Fields] | None:
    for name in names:
        if fields.values.get(name) is not None:
            return fields.children(name)
    return None


def _rate(tax: Fields) -> _Rate:
    current = tax.child("tax_rate_details").reference("tax_rate")
    return _Rate(
        tax_rate=current or tax.reference("tax_rate"),
        inclusive=tax.text("tax_behavior") == "inclusive" or tax.flag("inclusive"),
        reason=tax.text("taxability_reason"),
    )


class _Nets:
    """What was sold at a rate at which nothing is taxable.

    The lines say so, if all are there; else it is the `whole` document, if that has one rate.
    """

    def __init__(self, fields: Fields, whole: int | None) -> None:
        self._whole = whole or 0
        complete = not fields.child("lines").flag("has_more")
        self._lines = fields.children("lines") if complete else ()

    def of(self, rate: _Rate) -> int:
        nets = [_net(line) for line in self._lines if rate in set(_rates(line))]
        return sum(nets) if nets else self._whole


def _rates(line: Fields) -> Iterator[_Rate]:
    yield from (_rate(tax) for tax in _listed(line, _OF_LINES) or ())


def _net(line: Fields) -> int:
    """Return the amount of a line after its discounts, without the taxes that it contains."""
    taken = sum(one.whole("amount") or 0 for one in line.children("discount_amounts"))
    included = sum(
        tax.whole("amount") or 0 for tax in _listed(line, _OF_LINES) or () if _rate(tax).inclusive
    )
    return (line.whole("amount") or 0) - taken - included
