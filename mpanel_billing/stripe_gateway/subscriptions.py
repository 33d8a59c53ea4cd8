"""Changes of a subscription in Stripe, and what one would cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import stripe
from stripe.params import (
    InvoiceCreatePreviewParams,
    SubscriptionCancelParams,
    SubscriptionUpdateParams,
)

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway

NO_INVOICE_TO_COME = "invoice_upcoming_none"
"""Stripe's word for a subscription that ends before it is billed again."""


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """A line of an invoice that does not exist yet: minor units, negative for a credit."""

    description: str
    amount: int
    proration: bool
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """An invoice that does not exist yet, in minor units of `currency`.

    `total` is the sum of the lines less discounts, negative where the customer gets money back;
    `amount_due` what his card would be charged after what he has to his credit. `proration_date`
    is when the old terms end and the new ones begin, None where nothing is weighed by time.
    """

    currency: str
    total: int
    amount_due: int
    proration_date: datetime | None
    lines: tuple[PreviewLine, ...]


async def update_subscription(
    gateway: StripeGateway, subscription_id: str, params: Mapping[str, Any], key: str
) -> None:
    """Change a subscription under an idempotency key; PaymentFailedError when it is not paid."""
    async with translated():
        await gateway.client.v1.subscriptions.update_async(
            subscription_id,
            cast("SubscriptionUpdateParams", dict(params)),
            {"idempotency_key": key},
        )


async def cancel_subscription(
    gateway: StripeGateway, subscription_id: str, params: Mapping[str, Any]
) -> None:
    """End a subscription now; StripeObjectMissingError when it has ended already.

    There is no idempotency key: Stripe takes none with a DELETE, which does nothing twice.
    """
    async with translated():
        await gateway.client.v1.subscriptions.cancel_async(
            subscription_id, cast("SubscriptionCancelParams", dict(params))
        )


async def preview_change(
    gateway: StripeGateway,
    subscription_id: str,
    details: Mapping[str, Any],
    one_time_prices: Sequence[str] = (),
) -> Preview:
    """Return the invoice that a subscription would get next after a change.

    `details` are Stripe's `subscription_details`: the items and how they are prorated; the
    `one_time_prices` are charged with the change. StripeError whose `stripe_code` is
    NO_INVOICE_TO_COME where there would be none.
    """
    params = {
        "subscription": subscription_id,
        "subscription_details": dict(details),
        "invoice_items": [{"price": price} for price in one_time_prices],
    }
    async with translated():
        invoice = await gateway.client.v1.invoices.create_preview_async(
            cast("InvoiceCreatePreviewParams", params)
        )
        lines = [_line(line) async for line in invoice.lines.auto_paging_iter()]
    return Preview(
        currency=invoice.currency,
        total=invoice.total,
        amount_due=invoice.amount_due,
        proration_date=_proration_date(invoice),
        lines=tuple(lines),
    )


def _proration_date(invoice: stripe.Invoice) -> datetime | None:
    details = invoice.parent.subscription_details if invoice.parent else None
    moment = details.subscription_proration_date if details else None
    return datetime.fromtimestamp(moment, UTC) if moment else None


def _line(line: stripe.InvoiceLineItem) -> PreviewLine:
    fields = line.to_dict()
    parent = fields.get("parent") or {}
    origins = ("invoice_item_details", "subscription_item_details")
    return PreviewLine(
        description=line.description or "",
        amount=line.amount,
        proration=any((parent.get(origin) or {}).get("proration") for origin in origins),
        period_start=datetime.fromtimestamp(line.period.start, UTC),
        period_end=datetime.fromtimestamp(line.period.end, UTC),
    )
