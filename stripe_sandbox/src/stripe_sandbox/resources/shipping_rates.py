"""`/v1/shipping_rates`."""

from stripe.params import (
    ShippingRateCreateParams,
    ShippingRateListParams,
    ShippingRateRetrieveParams,
    ShippingRateUpdateParams,
)

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import missing_param
from stripe_sandbox.operations import Call
from stripe_sandbox.resources.records import Records
from stripe_sandbox.supported import supports


def _fields(call: Call) -> Document:
    if call.get("fixed_amount") is None:
        raise missing_param("fixed_amount")
    return {"active": True, "tax_behavior": call.get("tax_behavior", "unspecified"),
            "type": "fixed_amount"}  # fmt: skip


def _has_currency(rate: ReadOnly, currency: str) -> bool:
    return bool(rate["fixed_amount"]["currency"] == currency)


RATES = Records(
    "shipping_rate", "/shipping_rates", "shr", _fields, filters={"currency": _has_currency}
)
OPERATIONS = (
    RATES.creating(
        ShippingRateCreateParams,
        supports(
            "delivery_estimate",
            "display_name",
            "metadata",
            "tax_behavior",
            "tax_code",
            "type",
            fixed_amount=supports("amount", "currency"),
        ),
    ),
    RATES.updating(ShippingRateUpdateParams, supports("active", "metadata", "tax_behavior")),
    *RATES.reading(
        ShippingRateRetrieveParams,
        ShippingRateListParams,
        supports("active", "created", "currency"),
    ),
)
