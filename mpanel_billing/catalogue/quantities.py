"""How many of a plan or add-on one may have."""

from collections.abc import Collection, Mapping

from mpanel_billing.catalogue.model import Product
from mpanel_billing.errors import InvalidRequestError

_CODE = "quantity_not_sold"


def refuse_quantity(product: Product, quantity: int, *, had: int = 0, field: str = "") -> None:
    """Raise InvalidRequestError unless a subscription may have `quantity` of a product.

    It may always keep what it `had`. `field` is the name of the input.
    """
    if 1 <= quantity <= max(product.max_quantity, had):
        return
    if product.max_quantity == 1:
        sentence, problem = f'You can order "{product.name}" only once.', "must be 1"
    else:
        sentence = f'You can order "{product.name}" at most {product.max_quantity} times.'
        problem = f"must be from 1 to {product.max_quantity}"
    raise InvalidRequestError(
        sentence, code=_CODE, fields={field or f"quantities.{product.code}": problem}
    )


def refuse_unordered(quantities: Mapping[str, int], codes: Collection[str]) -> None:
    """Raise InvalidRequestError for a quantity of what is not ordered."""
    for code in quantities:
        if code not in codes:
            raise InvalidRequestError(
                "A quantity is of a product that is not ordered.",
                code=_CODE,
                fields={f"quantities.{code[:60]}": "is neither the plan nor one of the add-ons"},
            )
