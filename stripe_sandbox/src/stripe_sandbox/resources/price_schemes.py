"""How a new price computes amounts: a unit amount, tiers, packages."""

from itertools import pairwise
from typing import Any

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call

MAX_AMOUNT = 99_999_999


def scheme_of(call: Call) -> Document:
    """Return the fields of a new price that say what a quantity costs.

    Raises ApiError for what does not go together.
    """
    if call.get("billing_scheme", "per_unit") == "tiered":
        return _tiered(call)
    for name in ("tiers", "tiers_mode"):
        if call.get(name) is not None:
            raise invalid(f"`{name}` needs `billing_scheme=tiered`.", param=name)
    amount = whole_amount(call.params, "unit_amount", required=True)
    return {
        "billing_scheme": "per_unit",
        "transform_quantity": call.get("transform_quantity"),
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
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
    amounts = {name: whole_amount(given, name, path) for name in ("flat_amount", "unit_amount")}
    if set(amounts.values()) == {None}:
        raise missing_param(f"{path}[unit_amount]")
    texts = {
        f"{name}_decimal": None if amount is None else str(amount)
        for name, amount in amounts.items()
    }
    up_to = None if given["up_to"] == "inf" else given["up_to"]
    return {**amounts, **texts, "up_to": up_to}


def whole_amount(
    given: ReadOnly, name: str, path: str = "", *, required: bool = False
) -> int | None:
    """Return an amount in minor units, given as a whole number or as a decimal."""
    amount: Any = given.get(f"{name}_decimal")
    amount = given.get(name) if amount is None else amount
    param = f"{path}[{name}]" if path else name
    if amount is None and required:
        raise missing_param(param)
    if amount is None:
        return None
    if not 0 <= amount <= MAX_AMOUNT:
        raise invalid(f"Invalid {name}: must be between 0 and {MAX_AMOUNT}.", param=param)
    if amount != int(amount):
        message = "The sandbox does not support fractions of a minor unit."
        raise invalid(message, param=f"{path}[{name}_decimal]" if path else f"{name}_decimal")
    return int(amount)
