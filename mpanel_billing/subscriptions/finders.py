"""How the worker finds at Stripe what a request without a response has made, by its kind."""

from collections.abc import Mapping
from types import MappingProxyType

from mpanel_billing.subscriptions import credit_notes, refunds
from mpanel_billing.subscriptions.stripe_requests import Find

FINDERS: Mapping[str, Find] = MappingProxyType(
    {"refund": refunds.find_in_stripe, "credit_note": credit_notes.find_in_stripe}
)
