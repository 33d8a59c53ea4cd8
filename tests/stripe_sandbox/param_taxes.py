"""The part of `param_world` and `param_scenes` about tax ids and automatic tax."""

from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_cases import Scene, case, scene

EIN = {"type": "us_ein", "value": "123456789"}
SAME_FORMAT = ("us_ein", "ca_bn")
OF_CUSTOMER = {"type": "customer", "customer": "$customer"}


def add_taxes(desk: Desk) -> None:
    """Add tax ids of the account and of a customer."""
    desk.do("POST /tax_ids", keep="own_tax_id", **EIN)
    made = desk.do("POST /customers/{id}/tax_ids", of="customer", keep="tax_id", **EIN)
    desk.names["customers_tax_id"] = f"{desk.names['customer']}/{made['id']}"


VALUE = {"type": case(*SAME_FORMAT), "value": case("123456789", "12-3456789")}
OWNER = {
    "owner.type": case("customer", "self", owner={"customer": "$customer"}),
    "owner.customer": case("$customer", "$poor", owner={"type": "customer"}),
}

TAXES: dict[str, Scene] = {
    "POST /tax_ids": scene(**EIN, cases={**VALUE, **OWNER}),
    "GET /tax_ids": scene(cases=OWNER),
    "DELETE /tax_ids/{id}": scene("tax_id"),
    "POST /customers/{id}/tax_ids": scene("customer", **EIN, cases=VALUE),
    "DELETE /customers/{id}/tax_ids/{tax_id}": scene("customers_tax_id"),
}

TAX_ID_DATA = {
    "tax_id_data.type": case(*SAME_FORMAT, tax_id_data=[EIN]),
    "tax_id_data.value": case("123456789", "12-3456789", tax_id_data=[EIN]),
}
