"""The part of `param_scenes` about the modes of Checkout."""

from tests.stripe_sandbox.param_cases import Scene, case

PAYS = {"mode": "payment", "line_items": [{"price": "$domain", "quantity": 1}]}
SETS_UP = {"mode": "setup", "line_items": None, "allowed_payment_method_types": ["card"]}
INVOICED = {"enabled": True}

SHIPPED = {"shipping": {"name": "Ada", "address": {"line1": "z"}}}

CHECKOUT_MODES: dict[str, Scene] = {
    "mode": case("subscription"),
    "currency": case("usd", "eur", **SETS_UP),
    "customer_creation": case(**PAYS),
    "customer_update.address": case(customer="$customer"),
    "customer_update.name": case(customer="$customer"),
    "customer_update.shipping": case(customer="$customer"),
    "shipping_address_collection.allowed_countries": case(["DE"], ["FR"]),
    "tax_id_collection.required": case(tax_id_collection={"enabled": True}),
    "invoice_creation.enabled": case(**PAYS),
    **{
        f"invoice_creation.invoice_data.{name}": case(invoice_creation=INVOICED, **PAYS)
        for name in ("description", "footer", "metadata")
    },
    **{
        f"payment_intent_data.{name}": case(**PAYS)
        for name in (
            "capture_method",
            "description",
            "metadata",
            "receipt_email",
            "setup_future_usage",
            "statement_descriptor",
            "statement_descriptor_suffix",
        )
    },
    **{
        f"payment_intent_data.shipping.{name}": case(**PAYS, payment_intent_data=SHIPPED)
        for name in (
            *("carrier", "name", "phone", "tracking_number"),
            *(f"address.{part}" for part in ("city", "country", "line1", "line2")),
            *("address.postal_code", "address.state"),
        )
    },
    **{f"setup_intent_data.{name}": case(**SETS_UP) for name in ("description", "metadata")},
}
