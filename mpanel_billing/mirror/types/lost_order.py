"""An order of ours as Stripe's metadata tells it, in case its row was lost with a backup."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from mpanel_billing.mirror.reading import ORDER_METADATA_KEY, Fields

_LONGEST_VALUE = 500
"""Stripe's limit, to which checkout cuts a value."""

_PAID_DOMAINS = frozenset({"register", "transfer", "new-or-transfer"})


KEPT_METADATA = frozenset(
    {"planId", "billingCycle", "trialActive", "addonIds", "productTypes", "couponCode"}
)
"""What was sold; the rest of an order's metadata is about the buyer."""


class LostOrder(NamedTuple):
    """What Stripe knows of an order, read from a subscription with its customer expanded.

    `customer_id` is the customer record that the Stripe customer names, None if it names none.
    `metadata` is what `subscriptions.metadata` held; `buyer` has columns of the customer record.
    """

    customer_id: UUID | None
    metadata: Mapping[str, Any]
    buyer: Mapping[str, str | None]
    problem: str | None

    def anonymous(self) -> "LostOrder":
        """Return it without what says who the buyer is: as `erase_rows` leaves an order."""
        kept = {key: value for key, value in self.metadata.items() if key in KEPT_METADATA}
        return self._replace(metadata=kept, buyer={})


def read_lost_order(subscription: Fields) -> LostOrder | None:
    """Read the order of a subscription; None if its customer is not expanded."""
    if not isinstance(subscription.values.get("customer"), dict):
        return None
    customer = subscription.child("customer")
    texts = _texts(subscription)
    return LostOrder(
        customer_id=customer.metadata_uuid("customerId"),
        metadata=_metadata(texts, customer.text("email")),
        buyer=_buyer(customer),
        problem=_problem(texts, subscription.text("status")),
    )


def _texts(fields: Fields) -> dict[str, str]:
    metadata = fields.child("metadata").values
    return {key: value for key, value in metadata.items() if isinstance(value, str)}


def _metadata(texts: Mapping[str, str], email: str | None) -> dict[str, Any]:
    if "planId" not in texts:
        return {}
    metadata: dict[str, Any] = {
        "planId": texts["planId"],
        "billingCycle": texts.get("billingCycle"),
        "trialActive": texts.get("trialActive") == "true",
        "addonIds": _listed(texts.get("addonIds")),
        "domainMode": texts.get("domainMode", "later"),
        "domainValue": texts.get("domainValue", ""),
        "customerEmail": email,
        "productTypes": _listed(texts.get("productTypes")),
        "couponCode": texts.get("couponCode"),
    }
    if "domainUnicode" in texts:
        metadata["domainUnicode"] = texts["domainUnicode"]
    if "freeDomain" in texts:
        metadata["freeDomain"] = texts["freeDomain"] == "true"
    if "furtherDomains" in texts:
        metadata["furtherDomains"] = _listed(texts["furtherDomains"])
    return metadata


def _listed(text: str | None) -> list[str]:
    return text.split(",") if text else []


def _buyer(customer: Fields) -> dict[str, str | None]:
    address = customer.child("address")
    texts = _texts(customer)
    return {
        "email": customer.text("email"),
        # the name at Stripe is the company's, if one ordered
        "name": texts.get("contact") or customer.text("name"),
        "phone": customer.text("phone"),
        "company": texts.get("company"),
        "line1": address.text("line1"),
        "line2": address.text("line2"),
        "city": address.text("city"),
        "state": address.text("state"),
        "postcode": address.text("postal_code"),
        "country": address.text("country"),
        "firstSubscriptionId": texts.get(ORDER_METADATA_KEY),
    }


def _problem(texts: Mapping[str, str], status: str | None) -> str | None:
    """Return what Stripe does not know of the order; None: nothing."""
    if len(texts.get("furtherDomains", "")) >= _LONGEST_VALUE:
        return "the list of its further domains is cut short at Stripe"
    domains = texts.get("domainMode") in _PAID_DOMAINS or "furtherDomains" in texts
    if status == "trialing" and (domains or "couponCode" in texts):
        return (
            "it was ordered with a trial: check its pending invoice items and its discount at"
            " Stripe, which this service no longer manages"
        )
    return None
