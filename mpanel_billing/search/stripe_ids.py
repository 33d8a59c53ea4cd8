"""Whose an object at Stripe is that we do not find by ourselves: Stripe is asked."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.mirror.reading import Fields
from mpanel_billing.stripe_gateway.objects import Resource

if TYPE_CHECKING:
    from mpanel_billing.stripe_gateway.gateway import StripeGateway

_ASKED: Mapping[str, Resource] = {
    "ii": Resource("/v1/invoiceitems"),
    "pi": Resource("/v1/payment_intents"),
    "pm": Resource("/v1/payment_methods"),
    "sub_sched": Resource("/v1/subscription_schedules"),
}
"""What is not mirrored, or not of each payment, by the prefix of the ids."""

_INVOICE_NUMBER = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)*-[0-9]{4,}")
"""As Stripe makes them, and prints them on the invoice; ours have no index."""

_OWNERS = ("subscription", "released_subscription", "customer")
"""The fields that say whose it is, the nearest first."""


def is_asked_for(text: str) -> bool:
    """Return whether a text is an id of a kind that Stripe is asked for, or an invoice's number."""
    return text.rpartition("_")[0] in _ASKED or is_invoice_number(text)


def is_invoice_number(text: str) -> bool:
    """Return whether a text may be the number of an invoice."""
    return bool(_INVOICE_NUMBER.fullmatch(text.strip()))


async def ask_for_owners(stripe: "StripeGateway", stripe_id: str) -> Sequence[str]:
    """Return the ids of the subscription and the customer that an object belongs to.

    None for a kind of object that Stripe is not asked for, and for one that it does not have.
    StripeError if it cannot be asked.
    """
    if stripe_id.rpartition("_")[0] not in _ASKED:
        return ()
    try:
        fetched = await stripe.fetch(_ASKED[stripe_id.rpartition("_")[0]], stripe_id)
    except StripeObjectMissingError:
        return ()
    fields = Fields(fetched.stripe_object)
    return [owner for name in _OWNERS if (owner := fields.reference(name))]
