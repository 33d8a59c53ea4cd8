"""What a catalogue file says about money: chargeable amounts, and the same in every currency."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from mpanel_billing import money
from mpanel_billing.catalogue.line_numbers import Path
from mpanel_billing.catalogue.schema import (
    AddonEntry,
    CatalogueFile,
    CouponEntry,
    Entry,
    RecurringEntry,
)

Found = tuple[Path, str]
"""The path of a field, and what is wrong with it."""

_FOLLOWING = ("setup_fee", "transfer_price", "renewal_price", "redemption_price")
"""Amounts that go with the price of their entry, in each of its currencies."""


def find_odd_sums(file: CatalogueFile) -> Iterator[Found]:
    """Yield what is wrong with amounts: not chargeable, said twice, missing in a currency."""
    for _, path, entry in file.products():
        amounts = ((one.currency, one.path, one.amount) for one in entry.amounts(file.currency))
        yield from _prefixed(path, chain(_not_chargeable(amounts), _repeated(entry, file.currency)))
        yield from _prefixed(path, _incomplete(entry))
    for index, coupon in enumerate(file.coupons):
        sums = coupon.sums(file.currency)
        wrong = chain(_not_chargeable(sums), _repeated(coupon, file.currency), _one_sided(coupon))
        yield from _prefixed(("coupons", index), wrong)


def list_unsold(file: CatalogueFile) -> Mapping[str, tuple[str, ...]]:
    """Return what is not sold in each further currency of the plans: codes of products and coupons.

    That is no mistake: an order of them in it is refused.
    """
    further = dict.fromkeys(code for plan in file.plans for code in plan.prices_in)
    return {
        code: (
            *(entry.product_code for _, _, entry in file.products() if not _sold_in(entry, code)),
            *(coupon.code for coupon in file.coupons if not _is_for(coupon, code)),
        )
        for code in further
    }


def _sold_in(entry: Entry, currency: str) -> bool:
    if isinstance(entry, AddonEntry) and entry.usage:
        return currency in entry.usage.tiers_in
    field = "prices_in" if isinstance(entry, RecurringEntry) else "price_in"
    return currency in getattr(entry, field)


def _is_for(coupon: CouponEntry, currency: str) -> bool:
    return not coupon.has_amount or currency in {*coupon.amount_off_in, *coupon.minimum_amount_in}


def _prefixed(path: Path, found: Iterable[Found]) -> Iterator[Found]:
    return (((*path, *inner), message) for inner, message in found)


def _not_chargeable(amounts: Iterable[tuple[str, Path, int]]) -> Iterator[Found]:
    for currency, path, amount in amounts:
        step = money.smallest_step(currency)
        if amount % step:
            yield path, f"must be a multiple of {step}, as Stripe charges {currency}"


def _repeated(entry: Entry, currency: str) -> Iterator[Found]:
    for field in type(entry).model_fields:
        if field.endswith("_in") and currency in getattr(entry, field):
            yield (field, currency), f"repeats the file's own currency, {currency}"


def _incomplete(entry: Entry) -> Iterator[Found]:
    """Yield the amounts that a price in another currency lacks: a fee would be forgotten."""
    base = "prices_in" if isinstance(entry, RecurringEntry) else "price_in"
    sold: Mapping[str, object] = getattr(entry, base)
    for field in _FOLLOWING:
        others: Mapping[str, int] = getattr(entry, f"{field}_in", {})
        if getattr(entry, field, None):
            for code in sorted(sold.keys() - others.keys()):
                none = ", 0 if there is none" if field == "setup_fee" else ""
                yield (base, code), f"needs {field}_in.{code} too{none}"
        for code in sorted(others.keys() - sold.keys()):
            yield (f"{field}_in", code), f"is without a price in {code}: add {base}.{code}"


def _one_sided(coupon: CouponEntry) -> Iterator[Found]:
    """Yield what a coupon says in one currency and not in another."""
    for field in ("amount_off", "minimum_amount"):
        others: Mapping[str, int] = getattr(coupon, f"{field}_in")
        if others and getattr(coupon, field) is None:
            yield (f"{field}_in",), f"needs {field} too, in the file's own currency"
    if coupon.amount_off is None or coupon.minimum_amount is None:
        return
    for field, other in (
        ("amount_off_in", "minimum_amount_in"),
        ("minimum_amount_in", "amount_off_in"),
    ):
        for code in sorted(getattr(coupon, field).keys() - getattr(coupon, other).keys()):
            yield (field, code), f"needs {other}.{code} too"
