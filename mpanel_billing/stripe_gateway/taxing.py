"""How a subscription is taxed at Stripe, and what its next invoice comes to with taxes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.errors import StripeError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.subscriptions import NO_UPCOMING_INVOICE

if TYPE_CHECKING:
    from stripe.params import InvoiceCreatePreviewParams

UNSAID = "unspecified"
"""Stripe's `tax_behavior` of a price of which nobody has said whether it contains the taxes."""

_NOTHING_DUE = frozenset(
    {
        "customer_exempt",
        "not_collecting",
        "not_subject_to_tax",
        "not_supported",
        "product_exempt",
        "reverse_charge",
        "zero_rated",
    }
)
"""Stripe's reasons why there is no tax; others may have none on this invoice alone."""


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """How a subscription is taxed: by Stripe Tax, by rates that were set by hand, or not at all.

    `behaviors` are those of its prices: `inclusive`, `exclusive` or UNSAID.
    """

    automatic: bool
    by_rates: bool
    behaviors: frozenset[str]


@dataclass(frozen=True, slots=True)
class NextInvoice:
    """What the next invoice would come to, in minor units of `currency`: `tax` is part of `total`.

    `is_untaxed`: nothing is taxed where the customer is, or of whom they are.
    """

    currency: str
    total: int
    tax: int
    is_untaxed: bool


async def get_tax_terms(gateway: StripeGateway, subscription_id: str) -> TaxTerms:
    """Return how a subscription is taxed now; StripeError."""
    async with translated():
        held = await gateway.client.v1.subscriptions.retrieve_async(subscription_id)
    fields = held.to_dict()
    items = fields["items"]["data"]
    return TaxTerms(
        automatic=bool((fields.get("automatic_tax") or {}).get("enabled")),
        by_rates=bool(
            fields.get("default_tax_rates") or any(one.get("tax_rates") for one in items)
        ),
        behaviors=frozenset(one["price"].get("tax_behavior") or UNSAID for one in items),
    )


async def preview_next(
    gateway: StripeGateway, subscription_id: str, *, taxed: bool
) -> NextInvoice | None:
    """Return the next invoice of a subscription as it is, or as Stripe would tax it.

    None: there is no further one. StripeError, with the `stripe_code` UNKNOWN_PLACE if it is not
    known where the customer is.
    """
    params: dict[str, Any] = {"subscription": subscription_id}
    if taxed:
        params["automatic_tax"] = {"enabled": True}
    try:
        async with translated():
            invoice = await gateway.client.v1.invoices.create_preview_async(
                cast("InvoiceCreatePreviewParams", params)
            )
    except StripeError as error:
        if error.stripe_code != NO_UPCOMING_INVOICE:
            raise
        return None
    return _next_invoice(invoice.to_dict())


def _next_invoice(fields: Mapping[str, Any]) -> NextInvoice:
    taxes = fields.get("total_taxes") or ()
    return NextInvoice(
        currency=fields["currency"],
        total=fields["total"],
        tax=sum(one["amount"] for one in taxes),
        is_untaxed=bool(taxes) and all(one["taxability_reason"] in _NOTHING_DUE for one in taxes),
    )
