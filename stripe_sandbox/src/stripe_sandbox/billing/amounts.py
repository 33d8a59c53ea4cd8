"""What a quantity of a price costs: per unit, per package, or by tiers."""

from stripe_sandbox.documents import ReadOnly


def amount_of(price: ReadOnly, quantity: int) -> int:
    """Return what a quantity costs, in minor units."""
    units = _packages(price["transform_quantity"], quantity)
    if price["billing_scheme"] != "tiered":
        return int(price["unit_amount"] or 0) * units
    tiers = price["tiers"]
    return _by_volume(tiers, units) if price["tiers_mode"] == "volume" else _graduated(tiers, units)


def _packages(transform: ReadOnly | None, quantity: int) -> int:
    """Return how many units are billed for a quantity: packages of several, begun ones or full."""
    if transform is None:
        return quantity
    if transform["round"] == "up":
        return -(-quantity // int(transform["divide_by"]))
    return quantity // int(transform["divide_by"])


def _by_volume(tiers: list[ReadOnly], units: int) -> int:
    """Return the amount if the tier that the quantity reaches applies to all units."""
    tier = next(one for one in tiers if one["up_to"] is None or units <= one["up_to"])
    return _cost(tier, units)


def _graduated(tiers: list[ReadOnly], units: int) -> int:
    """Return the amount if each tier applies to its own units; the first one is always reached."""
    total = below = 0
    for tier in tiers:
        if below and units <= below:
            break
        top = units if tier["up_to"] is None else min(units, int(tier["up_to"]))
        total += _cost(tier, top - below)
        below = int(tier["up_to"] or units)
    return total


def _cost(tier: ReadOnly, units: int) -> int:
    return int(tier["flat_amount"] or 0) + int(tier["unit_amount"] or 0) * units
