"""The part of `param_scenes` about the lines of draft invoices, and the items that they bill."""

from tests.stripe_sandbox.param_cases import AMOUNT, AMOUNTS, Scene, case, data, entry, nest, scene

PRICED = {
    "pricing.price": case("$domain", "$setup"),
    **{f"price_data.{name}": case(price_data=AMOUNT) for name in AMOUNTS},
    "price_data.currency": case("usd", refused=("eur",), price_data=AMOUNT),
}
"""The prices that an item in dollars may change to."""


def _several(**held: str) -> dict[str, Scene]:
    """Return the cases of the params of the only entry of `lines`, with what else it has."""
    in_dollars = nest("lines", {**held, "price_data": AMOUNT}).given
    return {
        **entry("lines", "amount", "pricing.price", **held),
        **data("lines", AMOUNT, **held),
        "lines.amount": case(1, 2, **nest("lines", held).given),
        "lines.pricing.price": case("$domain", "$setup", **nest("lines", held).given),
        "lines.price_data.currency": case("usd", refused=("eur",), **in_dollars),
    }


ONE = {"id": "$draft_line"}
LINES: dict[str, Scene] = {
    "POST /invoices/{id}/lines/{line}": scene("draft_line_path", cases=PRICED),
    "POST /invoices/{id}/add_lines": scene(
        "empty_draft",
        lines=[{"amount": 500}],
        cases={
            **_several(),
            "lines.invoice_item": case("$item", **nest("lines", {}).given),
        },
    ),
    "POST /invoices/{id}/update_lines": scene(
        "draft",
        lines=[ONE],
        cases={**_several(**ONE), "lines.id": case("$draft_line", lines=[{"amount": 5}])},
    ),
    "POST /invoices/{id}/remove_lines": scene(
        "draft",
        lines=[{**ONE, "behavior": "delete"}],
        cases={"lines.id": case("$draft_line")},
    ),
}
