"""What a quantity of a price costs: per unit, per package, or by tiers."""

from decimal import ROUND_HALF_UP, Decimal

from stripe_sandbox.documents import ReadOnly


def amount_of(price: ReadOnly, quantity: int) -> int:
    """Return what a quantity costs, rounded half up to whole minor units."""
    units = _packages(price["transform_quantity"], quantity)
    if price["billing_scheme"] != "tiered":
        return _round(_exact(price, "unit_amount") * units)
    tiers = price["tiers"]
    by_volume = price["tiers_mode"] == "volume"
    return _round(_by_volume(tiers, units) if by_volume else _graduated(tiers, units))


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


def _by_volume(tiers: list[ReadOnly], units: int) -> Decimal:
    """Return the amount if the tier that the quantity reaches applies to all units."""
    tier = next(one for one in tiers if one["up_to"] is None or units <= one["up_to"])
    return _cost(tier, units)


def _graduated(tiers: list[ReadOnly], units: int) -> Decimal:
    """Return the amount if each tier applies to its own units; the first one is always reached."""
    total, below = Decimal(0), 0
    for tier in tiers:
        if below and units <= below:
            break
        top = units if tier["up_to"] is None else min(units, int(tier["up_to"]))
        total += _cost(tier, top - below)
        below = int(tier["up_to"] or units)
    return total


def _cost(tier: ReadOnly, units: int) -> Decimal:
    return _exact(tier, "flat_amount") + _exact(tier, "unit_amount") * units
