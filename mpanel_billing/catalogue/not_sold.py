"""The errors for what the catalogue does not sell: each says what it does."""

from collections.abc import Iterable
from typing import NoReturn

from mpanel_billing.catalogue.model import Product
from mpanel_billing.catalogue.order import Order
from mpanel_billing.errors import InvalidRequestError

_LONGEST_ECHO = 60


def shown(given: str) -> str:
    """Quote the client's value, shortened if it is long."""
    return given if len(given) <= _LONGEST_ECHO else f"{given[:_LONGEST_ECHO]}..."


def refuse_unknown(
    what: str, given: str, known: Iterable[str], *, field: str, code: str
) -> NoReturn:
    """Raise InvalidRequestError for a code that is not in the catalogue."""
    available = ", ".join(known)
    msg = f'Unknown {what} "{shown(given)}". Available: {available}.'
    raise InvalidRequestError(msg, code=code, fields={field: f"must be one of: {available}"})


def refuse_cycle(product: Product, order: Order) -> NoReturn:
    """Raise InvalidRequestError for a term for which a product has no price."""
    cycles = product.cycles_in(order.currency)
    if not cycles:
        refuse_currency(product, order.currency)
    available = ", ".join(cycles)
    msg = f"{product.name} is not available {order.billing_cycle}. Available: {available}."
    raise InvalidRequestError(
        msg, code="cycle_not_sold", fields={"billingCycle": f"{product.code}: {available}"}
    )


def refuse_currency(product: Product, currency: str) -> NoReturn:
    """Raise InvalidRequestError for a currency in which a product has no price."""
    sold = ", ".join(dict.fromkeys(price.currency for price in product.prices))
    msg = (
        f"{product.name} is not available in {shown(currency).upper()}. Available: {sold.upper()}."
    )
    raise InvalidRequestError(
        msg, code="currency_not_sold", fields={"currency": f"{product.code}: {sold}"}
    )
