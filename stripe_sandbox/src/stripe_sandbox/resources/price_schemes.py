"""How a new price computes amounts: a unit amount, tiers, packages."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call

MAX_AMOUNT = 99_999_999
DECIMAL_PLACES = 12


def scheme_of(call: Call) -> Document:
    """Return the fields of a new price that say what a quantity costs.

    Raises ApiError for what does not go together.
    """
    if call.get("billing_scheme", "per_unit") == "tiered":
        return _tiered(call)
    for name in ("tiers", "tiers_mode"):
        if call.get(name) is not None:
            raise invalid(f"`{name}` needs `billing_scheme=tiered`.", param=name)
    if exact_amount(call.params, "unit_amount") is None:
        raise missing_param("unit_amount")
    return {
        "billing_scheme": "per_unit",
        "transform_quantity": call.get("transform_quantity"),
        **amount_fields(call.params, "unit_amount"),
    }


def _tiered(call: Call) -> Document:
    for name in ("unit_amount", "unit_amount_decimal", "transform_quantity"):
        if call.get(name) is not None:
            raise invalid(f"`{name}` cannot be combined with tiers.", param=name)
    for name in ("tiers", "tiers_mode", "recurring"):
        if call.get(name) is None:
            raise missing_param(name)
    tiers = [_tier(given, f"tiers[{index}]") for index, given in enumerate(call.get("tiers"))]
    bounds = [tier["up_to"] for tier in tiers]
    if None in bounds[:-1] or bounds[-1] is not None:
        raise invalid("The last tier, and only the last one, must have up_to=inf.", param="tiers")
    if any(low >= high for low, high in pairwise(bounds[:-1])):
        raise invalid("Tiers must be in the order of their up_to.", param="tiers")
    return {"billing_scheme": "tiered", "tiers": tiers, "tiers_mode": call.get("tiers_mode")}


def _tier(given: ReadOnly, path: str) -> Document:
    amounts = {
        **amount_fields(given, "flat_amount", path),
        **amount_fields(given, "unit_amount", path),
    }
    if set(amounts.values()) == {None}:
        raise missing_param(f"{path}[unit_amount]")
    up_to = None if given["up_to"] == "inf" else given["up_to"]
    return {**amounts, "up_to": up_to}


def amount_fields(given: ReadOnly, name: str, path: str = "") -> Document:
    """Return an amount as a price has it: the whole number is null if there is a fraction."""
    amount = exact_amount(given, name, path)
    is_whole = amount is not None and amount == int(amount)
    return {
        name: int(amount) if amount is not None and is_whole else None,
        f"{name}_decimal": None if amount is None else _as_text(amount),
    }


def _as_text(amount: Decimal) -> str:
    return f"{amount:f}".rstrip("0").rstrip(".") if amount != int(amount) else str(int(amount))


def exact_amount(given: ReadOnly, name: str, path: str = "") -> Decimal | None:
    """Return an amount in minor units, given as a whole number or as a decimal, if it is given."""
    exact: Any = given.get(f"{name}_decimal")
    amount = given.get(name) if exact is None else exact
    if amount is None:
        return None
    inner = name if exact is None else f"{name}_decimal"
    param = f"{path}[{inner}]" if path else inner
    if not 0 <= amount <= MAX_AMOUNT:
        raise invalid(f"Invalid {name}: must be between 0 and {MAX_AMOUNT}.", param=param)
    if Decimal(amount) != round(Decimal(amount), DECIMAL_PLACES):
        message = f"Invalid decimal: at most {DECIMAL_PLACES} decimal places are allowed."
        raise invalid(message, param=param)
    return Decimal(amount)
