"""Amounts that someone names: Stripe does not charge every one in every currency."""

from mpanel_billing import money
from mpanel_billing.errors import InvalidRequestError


def refuse_unchargeable(amount: int, currency: str, field: str = "amount") -> None:
    """Raise InvalidRequestError for minor units that Stripe does not charge in the currency."""
    step, below = money.smallest_step(currency), money.floor_to_step(amount, currency)
    if amount == below:
        return
    near = " or ".join(money.format_money(one, currency) for one in (below, below + step) if one)
    raise InvalidRequestError(
        f"{money.format_money(amount, currency)} cannot be charged: choose {near}.",
        fields={field: f"must be a multiple of {step} in {currency.upper()}"},
    )
