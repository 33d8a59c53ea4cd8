"""Is a successful response what was asked for? A proxy or an outage can put anything into a 200."""

from collections.abc import Mapping
from typing import Any

import orjson
from yarl import URL

from mpanel_billing.stripe_gateway.sdk import stripe

_OBJECTS: Mapping[str, str] = {
    "account": "account",
    "balance": "balance",
    "billing_portal/configurations": "billing_portal.configuration",
    "billing_portal/sessions": "billing_portal.session",
    "charges": "charge",
    "checkout/sessions": "checkout.session",
    "core/events": "v2.core.event",
    "coupons": "coupon",
    "credit_notes": "credit_note",
    "customers": "customer",
    "disputes": "dispute",
    "events": "event",
    "invoice_payments": "invoice_payment",
    "invoiceitems": "invoiceitem",
    "invoices": "invoice",
    "payment_intents": "payment_intent",
    "prices": "price",
    "products": "product",
    "radar/early_fraud_warnings": "radar.early_fraud_warning",
    "refunds": "refund",
    "subscription_items": "subscription_item",
    "subscription_schedules": "subscription_schedule",
    "subscriptions": "subscription",
    "tax_ids": "tax_id",
    "tax_rates": "tax_rate",
    "webhook_endpoints": "webhook_endpoint",
}
"""What the paths that we call return; of others, only that it is an object."""

_PARTS: Mapping[str, str] = {"balance_transactions": "customer_balance_transaction"}
"""What is made under the path of an object, and is another object."""

_ALONE = frozenset({"account", "balance"})
"""There is one of them, so it has no id in its path."""

_NOT_IDS = frozenset({"create_preview", "preview"})


def check_response(method: str, url: str, resource: str, content: bytes) -> Mapping[str, Any]:
    """Return the JSON of a 2xx; stripe.APIError unless it is of the kind, and id, asked for.

    Whether Stripe has acted is unknown then.
    """
    path = URL(url).path.removeprefix("/v1/").removeprefix("/v2/")
    rest = path.removeprefix(resource).strip("/").split("/")
    found = _read(content)
    if _lists(method, resource, rest):
        if not isinstance(found.get("data"), list) or "has_more" not in found:
            raise _odd("is no list")
        return found
    part = _PARTS.get(rest[1]) if len(rest) > 1 else None
    wanted = part or _OBJECTS.get(resource)
    if wanted is None or (len(rest) > 1 and method.upper() == "DELETE"):
        return found
    if found["object"] != wanted or (resource not in _ALONE and not found.get("id")):
        raise _odd(f"is not a {wanted}")
    if rest[0] and rest[0] not in _NOT_IDS and found["id"] != rest[0] and part is None:
        raise _odd(f"is another {wanted}")
    return found


def _read(content: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise _odd("is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("object"), str):
        raise _odd("is no object")
    return found


def _lists(method: str, resource: str, rest: list[str]) -> bool:
    """Return whether a request lists objects: of a collection, or one that belongs to an object."""
    is_of_many = rest[0] in {"", "search"} or len(rest) > 1
    return method.upper() == "GET" and resource not in _ALONE and is_of_many


def _odd(what: str) -> stripe.APIError:
    return stripe.APIError(f"The response {what}.", http_status=200)
