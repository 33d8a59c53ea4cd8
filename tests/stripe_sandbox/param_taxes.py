"""The part of `param_world` and `param_scenes` about tax ids and automatic tax."""

from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_cases import Scene, case, scene

EIN = {"type": "us_ein", "value": "123456789"}
SAME_FORMAT = ("us_ein", "ca_bn")
IN_GERMANY = {"country": "DE", "country_options": {"de": {"type": "standard"}}}
COUNTRIES = ("at", "au", "ch", "de", "es", "fr", "gb", "ie", "it", "nl", "no")


def add_taxes(desk: Desk) -> None:
    """Add tax ids of the account and of a customer."""
    desk.do("POST /tax_ids", keep="own_tax_id", **EIN)
    made = desk.do("POST /customers/{id}/tax_ids", of="customer", keep="tax_id", **EIN)
    desk.names["customers_tax_id"] = f"{desk.names['customer']}/{made['id']}"
    _add_automatic_tax(desk)


def _add_automatic_tax(desk: Desk) -> None:
    """Add registrations, and a customer whose location is known."""
    do = desk.do
    do("POST /tax/settings", defaults={"tax_behavior": "exclusive"})
    do("POST /tax/registrations", keep="registration", active_from="now", **IN_GERMANY)
    do("POST /customers", keep="located", test_clock="$clock", address={"country": "DE"},
       payment_method="pm_card_visa",
       invoice_settings={"default_payment_method": "pm_card_visa"})  # fmt: skip
    do("POST /subscriptions", keep="located_subscription", customer="$located",
       items=[{"price": "$monthly"}])  # fmt: skip


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
    "POST /tax/settings": scene(
        cases={
            f"head_office.address.{name}": case(head_office={"address": {"line2": "z"}})
            for name in ("city", "country", "line1", "line2", "postal_code", "state")
        }
    ),
    "POST /tax/registrations": scene(
        active_from="now",
        **IN_GERMANY,
        cases={
            "active_from": case(START, START + DAY),
            "expires_at": case(START + DAY, START + 2 * DAY),
            "country": case(
                "DE",
                "FR",
                country_options={"de": {"type": "standard"}, "fr": {"type": "standard"}},
            ),
            **{
                f"country_options.{name}.type": case(
                    country=name.upper(), country_options={name: {"type": "standard"}}
                )
                for name in COUNTRIES
            },
            **{
                f"country_options.us.{name}": case(
                    *values,
                    country="US",
                    country_options={"us": {"type": "state_sales_tax", "state": "CA"}},
                )
                for name, values in (("state", ("CA", "TX")), ("type", ()))
            },
        },
    ),
    "POST /tax/registrations/{id}": scene(
        "registration", cases={"expires_at": case("now", START + DAY)}
    ),
}

LOCATION = {
    "tax.ip_address": case("192.0.2.1", "198.51.100.1"),
    "tax.validate_location": case("deferred", refused=("immediately",)),
}

TAX_ID_DATA = {
    "tax_id_data.type": case(*SAME_FORMAT, tax_id_data=[EIN]),
    "tax_id_data.value": case("123456789", "12-3456789", tax_id_data=[EIN]),
}

_DESCRIBED = {"address": {"country": "DE", "postal_code": "10115"}}
_GERMAN_ID = {"type": "eu_vat", "value": "DE123456789"}
_FIRST = {
    "subscription": None,
    "subscription_details": {"items": [{"price": "$monthly"}]},
    "automatic_tax": {"enabled": True},
}

FIRST_INVOICE: dict[str, Scene] = {
    "automatic_tax.enabled": case(True, False, **_FIRST, customer_details=_DESCRIBED),
    "customer_details.tax_exempt": case("none", "exempt", **_FIRST, customer_details=_DESCRIBED),
    **{
        f"customer_details.address.{name}": case(**_FIRST, customer_details=_DESCRIBED)
        for name in ("city", "line1", "line2", "postal_code", "state")
    },
    "customer_details.address.country": case("DE", "FR", **_FIRST, customer_details=_DESCRIBED),
    "customer_details.tax_ids.type": case(
        "eu_vat", "cn_tin", **_FIRST, customer_details={**_DESCRIBED, "tax_ids": [_GERMAN_ID]}
    ),
    "customer_details.tax_ids.value": case(
        "DE123456789",
        refused=("DE1",),
        **_FIRST,
        customer_details={**_DESCRIBED, "tax_ids": [_GERMAN_ID]},
    ),
}
