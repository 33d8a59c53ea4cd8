"""What an edit of the catalogue changes, and whether it looks like a mistake."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

from mpanel_billing import money
from mpanel_billing.catalogue.model import Catalogue, Coupon, Price, Product

_OF_A_MODE = {"id", "stripe_product_id", "stripe_coupon_id", "prices"}
"""Fields that a catalogue file does not say."""

Entry: TypeAlias = Product | Coupon


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A price before and after, in minor units; None if it is not sold."""

    lookup_key: str
    currency: str
    old: int | None
    new: int | None

    @property
    def is_large(self) -> bool:
        """Whether it is sold on for an amount that differs by more than half of the old one."""
        if self.old is None or self.new is None:
            return False
        return 2 * abs(self.new - self.old) > self.old

    def __str__(self) -> str:
        """Return it for people: `starter_monthly_usd: $7.99 -> $8.99`."""
        return f"{self.lookup_key}: {self._shown(self.old)} -> {self._shown(self.new)}"

    def _shown(self, amount: int | None) -> str:
        return "not sold" if amount is None else money.format_money(amount, self.currency)


@dataclass(frozen=True, slots=True)
class CatalogueEdit:
    """The difference between two states of the catalogue.

    `prices_before` is how many prices were on sale. `others` are sentences about products and
    coupons that were there before or go, `added` about those that are new.
    """

    prices_before: int
    prices: tuple[PriceChange, ...]
    others: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why this may be a mistake: one sentence for each reason."""
        touched = sum(change.old is not None for change in self.prices)
        many = 10 * touched > self.prices_before
        return (
            *([f"{touched} of {self.prices_before} prices change or go"] if many else []),
            *(
                f"{change} is a change by more than half"
                for change in self.prices
                if change.is_large
            ),
        )


def compare_catalogues(before: Catalogue, after: Catalogue) -> CatalogueEdit:
    """Return what is different in `after`."""
    olds, news = _prices(before), _prices(after)
    products = _by_code("product", before.products, after.products)
    coupons = _by_code("coupon", before.coupons, after.coupons)
    return CatalogueEdit(
        prices_before=len(olds),
        prices=tuple(_price_changes(olds, news)),
        others=(*_changed(products), *_changed(coupons)),
        added=(*_added(products), *_added(coupons)),
    )


def _prices(catalogue: Catalogue) -> dict[str, Price]:
    return {price.lookup_key: price for product in catalogue.products for price in product.prices}


def _price_changes(olds: Mapping[str, Price], news: Mapping[str, Price]) -> Iterator[PriceChange]:
    for key in dict.fromkeys([*olds, *news]):
        old, new = olds.get(key), news.get(key)
        change = PriceChange(
            key,
            currency=(new or olds[key]).currency,
            old=old.unit_amount if old else None,
            new=new.unit_amount if new else None,
        )
        if change.old != change.new:
            yield change


def _by_code(
    kind: str, olds: Sequence[Entry], news: Sequence[Entry]
) -> dict[str, tuple[Entry | None, Entry | None]]:
    old, new = ({entry.code: entry for entry in entries} for entries in (olds, news))
    return {
        f"{kind} {code}": (old.get(code), new.get(code)) for code in dict.fromkeys([*old, *new])
    }


def _added(entries: Mapping[str, tuple[Entry | None, Entry | None]]) -> Iterator[str]:
    return (f"{name}: new" for name, (old, _) in entries.items() if old is None)


def _changed(entries: Mapping[str, tuple[Entry | None, Entry | None]]) -> Iterator[str]:
    for name, (old, new) in entries.items():
        if old and not new:
            yield f"{name}: no longer sold"
        elif old and new:
            yield from _changed_fields(name, old, new)


def _changed_fields(name: str, old: Entry, new: Entry) -> Iterator[str]:
    for field in fields(old):
        was, becomes = getattr(old, field.name), getattr(new, field.name)
        if field.name not in _OF_A_MODE and was != becomes:
            yield f"{name}: {field.name} {_shown(was)} -> {_shown(becomes)}"


def _shown(value: object) -> str:
    return "nothing" if value in (None, (), {}) else str(value)
