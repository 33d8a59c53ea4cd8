"""How much credit a change may give: a pure function.

Stripe credits the unused time of what it billed, whether that was paid, refunded or disputed. We
credit at most what was paid for the rest of the term and not given back. What was kept pays first
for the time that was used, and for the items that stay: after a refund of half a term there is
nothing left to credit in the middle of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import chain

from mpanel_billing.money import smallest_step
from mpanel_billing.stripe_gateway.billed import BilledInvoice, BilledLine
from mpanel_billing.stripe_gateway.subscriptions import Preview


def unearned_credit(
    preview: Preview, invoices: Sequence[BilledInvoice], returned: Mapping[str, int]
) -> int:
    """Return how much of a previewed credit was not paid and kept, in minor units; 0 if none.

    `invoices` are all of the subscription; those that are unpaid count as paid, because they are
    paid before the change. `returned` is what was given back of an invoice, by its id. Credit, and
    what is returned here, are as prices are: taxes that these do not contain come on top. Stripe
    rounds each line, so a difference of the smallest amount for each is not one.
    """
    at = preview.proration_date
    if at is None:
        return 0
    prorated = [line for line in preview.lines if line.proration or line.is_correction]
    credited = -sum(one.amount for one in prorated if one.amount < 0 and one.period_start >= at)
    earlier = [
        BilledLine(one.amount, one.period_start, one.period_end, one.is_correction)
        for one in prorated
        if one.period_start < at
    ]
    billed = [one for one in invoices if one.status != "void"]
    charged = [
        *earlier,
        *chain.from_iterable(_without_added_tax(one.lines) for one in billed),
    ]
    missing = sum(
        (_missing(one, at, returned.get(one.id, 0)) * _untaxed_part(one, at) for one in billed),
        Fraction(0),
    )
    excess = credited - max(_rest(charged, at) - missing, Fraction(0))
    rounded = (len(prorated) + len(charged)) * smallest_step(preview.currency)
    beyond = int(excess) if excess > rounded else 0
    corrected = _rest([line for line in charged if line.is_correction], at)
    return max(beyond, min(int(missing - corrected), credited))


def unused_time(
    invoices: Sequence[BilledInvoice], returned: Mapping[str, int], at: datetime
) -> int:
    """Return what was paid for the time after `at` and not given back, in whole minor units.

    `invoices` are all of the subscription, none of them unpaid for that time.
    """
    paid = [one for one in invoices if one.status in {"paid", "uncollectible"}]
    rest = sum((_rest(one.lines, at) for one in paid), Fraction(0))
    missing = sum((_missing(one, at, returned.get(one.id, 0)) for one in paid), Fraction(0))
    return int(max(rest - missing, Fraction(0)))


def unused_price(invoices: Sequence[BilledInvoice], at: datetime) -> int:
    """Return what was billed for the time after `at`, without added taxes, in whole minor units."""
    paid = [one for one in invoices if one.status == "paid"]
    return int(sum((_rest(_without_added_tax(one.lines), at) for one in paid), Fraction(0)))


def _without_added_tax(lines: Sequence[BilledLine]) -> tuple[BilledLine, ...]:
    return tuple(replace(one, amount=one.amount - one.added_tax, added_tax=0) for one in lines)


def _untaxed_part(invoice: BilledInvoice, at: datetime) -> Fraction:
    """Return which part of what an invoice charges for the time after `at` is no added tax."""
    rest = _rest(invoice.lines, at)
    return _rest(_without_added_tax(invoice.lines), at) / rest if rest else Fraction(1)


def _missing(invoice: BilledInvoice, at: datetime, returned: int) -> Fraction:
    """Return what an invoice charges for the time after `at`, and was not paid or given back."""
    missing = invoice.reduced + returned
    if invoice.status == "uncollectible":
        missing += invoice.total - invoice.amount_paid
    return min(max(_rest(invoice.lines, at), Fraction(0)), Fraction(missing))


def _rest(lines: Sequence[BilledLine], at: datetime) -> Fraction:
    """Return what the lines charge for the time after `at`."""
    return sum((one.amount * _share(one, at) for one in lines), Fraction(0))


def _share(line: BilledLine, at: datetime) -> Fraction:
    if not line.start <= at < line.end:
        return Fraction(int(line.start > at))
    left, whole = line.end - at, line.end - line.start
    return Fraction(int(left.total_seconds()), int(whole.total_seconds()))
