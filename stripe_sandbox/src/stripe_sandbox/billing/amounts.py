"""What a quantity of a price costs: per unit, per package, or by tiers."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from stripe_sandbox.documents import ReadOnly


@dataclass(frozen=True)
class Part:
    """What a line charges of a quantity: all of it, or the units or the flat fee of a tier.

    `unit` and `amount` are in minor units, `unit` with a fraction of one. `tier` counts from 1. A
    flat fee has the quantity 0.
    """

    quantity: int
    unit: str
    amount: int
    tier: int | None = None
    is_flat: bool = False


def amount_of(price: ReadOnly, quantity: int) -> int:
    """Return what a quantity costs; each of its parts is rounded half up to whole minor units."""
    return sum(part.amount for part in parts_of(price, quantity))


def parts_of(price: ReadOnly, quantity: int) -> list[Part]:
    """Return the parts of what a quantity costs: one, or two for each tier that is reached."""
    units = _packages(price["transform_quantity"], quantity)
    if price["billing_scheme"] != "tiered":
        unit = _exact(price, "unit_amount")
        return [Part(quantity, str(unit), _round(unit * units))]
    reached = _volume if price["tiers_mode"] == "volume" else _graduated
    return [
        part
        for number, tier, within in reached(price["tiers"], units)
        for part in _parts_of_tier(number, tier, within)
    ]


def _parts_of_tier(number: int, tier: ReadOnly, units: int) -> Iterator[Part]:
    unit = _exact(tier, "unit_amount")
    yield Part(units, str(unit), _round(unit * units), number)
    if tier["flat_amount"] is not None or tier["flat_amount_decimal"] is not None:
        fee = _exact(tier, "flat_amount")
        yield Part(0, str(fee), _round(fee), number, is_flat=True)


def _exact(priced: ReadOnly, name: str) -> Decimal:
    """Return an amount of a price or a tier, which may have a fraction of a minor unit."""
    return Decimal(priced.get(f"{name}_decimal") or priced[name] or 0)


def _round(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def _packages(transform: ReadOnly | None, quantity: int) -> int:
    """Return how many units are billed for a quantity: packages of several, begun ones or full."""
    if transform is None:
        return quantity
    if transform["round"] == "up":
        return -(-quantity // int(transform["divide_by"]))
    return quantity // int(transform["divide_by"])


def _volume(tiers: list[ReadOnly], units: int) -> Iterator[tuple[int, ReadOnly, int]]:
    """Yield the tier that the quantity reaches, which applies to all units, with its number."""
    for number, tier in enumerate(tiers, start=1):
        if tier["up_to"] is None or units <= tier["up_to"]:
            yield number, tier, units
            return


def _graduated(tiers: list[ReadOnly], units: int) -> Iterator[tuple[int, ReadOnly, int]]:
    """Yield each tier that is reached, with its number and its own units; the first always is."""
    below = 0
    for number, tier in enumerate(tiers, start=1):
        if below and units <= below:
            return
        top = units if tier["up_to"] is None else min(units, int(tier["up_to"]))
        yield number, tier, top - below
        below = int(tier["up_to"] or units)
