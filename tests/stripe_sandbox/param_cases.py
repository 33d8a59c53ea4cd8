"""A call that succeeds, and what shows the effect of each of its params."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.stripe_sandbox.desk import Desk

YEARS = 4_000_000_000
"""Unix time of a moment after everything."""

After = Callable[[Desk, dict[str, Any]], None]


@dataclass(frozen=True)
class Scene:
    """A call: the name of the object in its path, the params that it has beside the one to test.

    `values` are those to compare, if not all that the type names; `refused` others that have to be
    refused. `after` does what a param has its effect on, if that is later. `index` is the entry of
    the outermost list that has the param.
    """

    of: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    values: tuple[Any, ...] = ()
    refused: tuple[Any, ...] = ()
    after: After | None = None
    index: str = "0"
    cases: dict[str, "Scene"] = field(default_factory=dict)

    def case(self, path: str) -> "Scene":
        """Return the call that shows the effect of a param; what a case has not is the scene's."""
        if path in self.cases:
            own = self.cases[path]
            return replace(own, of=own.of or self.of, given={**self.given, **own.given})
        return self


def case(*values: Any, of: str = "", refused: tuple[Any, ...] = (), after: After | None = None,
         index: str = "0", **given: Any) -> Scene:  # fmt: skip
    return Scene(of, given, values, refused, after, index)


def scene(of: str = "", cases: dict[str, Scene] | None = None, **given: Any) -> Scene:
    return Scene(of, given, cases=cases or {})


URL = "https://shop.example/"
VALUES: dict[str, tuple[Any, ...]] = {
    "coupon": ("$coupon", "$less"),
    "currency": ("usd", "eur"),
    "customer": ("$customer", "$poor"),
    "default_payment_method": ("$amex",),
    "discount": ("$subscription_discount",),
    "email": ("b@example.com", "c@example.com"),
    "payment_method": ("$amex", "$card"),
    "plan": ("$monthly", "$bigger"),
    "price": ("$monthly", "$bigger"),
    "product": ("$product", "$other_product"),
    "promotion_code": ("$code", "$less_code"),
    "subscription": ("$subscription", "$trial"),
    "default_tax_rates": (["$vat"],),
    "tax_rates": (["$vat"],),
    "test_clock": ("$clock",),
    "unit_amount": (500, 600),
    "unit_amount_decimal": (500, 600),
    "url": ("https://shop.example/1", "https://shop.example/2"),
    **dict.fromkeys(("gt", "gte", "lt", "lte"), (1, YEARS)),
}
"""Values that suit a param of this name."""

LISTS = {"add_invoice_items", "invoice_items", "items", "line_items", "lines", "phases"}


def entry(container: str, *params: str, **given: Any) -> dict[str, Scene]:
    """Return cases of params of the only entry of a list, and what else the entry has."""
    return {f"{container}.{param}": nest(container, given) for param in params}


def nest(container: str, given: dict[str, Any]) -> Scene:
    for name in reversed(container.split(".")):
        given = {name: [given] if name in LISTS else given}
    return Scene(given=given)


ONCE = {"price": "$domain"}
DISCOUNTS = ("coupon", "discount", "promotion_code")
AMOUNT = {"currency": "usd", "product": "$product", "unit_amount": 400}
PLAN = {**AMOUNT, "recurring": {"interval": "month"}}
AMOUNTS = ("currency", "product", "tax_behavior", "unit_amount", "unit_amount_decimal")
TERMS = ("recurring.interval", "recurring.interval_count")


def data(container: str, values: dict[str, Any], *more: str, **beside: Any) -> dict[str, Scene]:
    """Return the cases of `price_data` in the only entry of a list."""
    names = (f"price_data.{name}" for name in (*AMOUNTS, *more))
    return entry(container, *names, price_data=values, **beside)


def one_time(container: str, period: dict[str, Any]) -> dict[str, Scene]:
    """Return the cases of items that are charged once."""
    bounds = [f"period.{name}" for name in ("start", "end")]
    inner = [f"{name}.{part}" for name in bounds for part in ("timestamp", "type")]
    return {
        **entry(container, "discountable", "metadata", "quantity", "tax_rates", **ONCE),
        **entry(container, *(f"discounts.{name}" for name in DISCOUNTS), **ONCE),
        **entry(container, *bounds, *inner, **ONCE, period=period),
        f"{container}.price": case("$domain", "$setup"),
        **data(container, AMOUNT),
    }
