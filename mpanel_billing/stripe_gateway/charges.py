"""Charges added to the next invoice, drafts collected, invoices voided, payments refunded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    from stripe import InvoiceItem
    from stripe.params import (
        InvoiceFinalizeInvoiceParams,
        InvoiceItemCreateParams,
        InvoiceItemListParams,
        RefundCreateParams,
    )

CHARGE_ID = "chargeId"
"""Metadata of an invoice item: the id of our charge."""

ATTEMPT = "attempt"

CHANGE_ID = "changeId"
"""Metadata of a refund: the id of our change."""


@dataclass(frozen=True, slots=True)
class PendingItem:
    """A charge for a subscription's next invoice; `amount` is minor units of `currency`."""

    stripe_customer_id: str
    stripe_subscription_id: str
    charge_id: str
    attempt: int
    amount: int
    currency: str
    description: str

    @property
    def idempotency_key(self) -> str:
        """The key of this attempt; its params never change."""
        return f"charge-{self.charge_id}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class MadeItem:
    """An invoice item at Stripe; `created` is by its clock, in whole seconds."""

    id: str
    created: datetime


async def create_pending_item(gateway: StripeGateway, item: PendingItem) -> MadeItem:
    """Add a charge to the subscription's next invoice."""
    params: InvoiceItemCreateParams = {
        "customer": item.stripe_customer_id,
        "subscription": item.stripe_subscription_id,
        "amount": item.amount,
        "currency": item.currency,
        "description": item.description,
        "metadata": {CHARGE_ID: item.charge_id, ATTEMPT: str(item.attempt)},
    }
    async with translated():
        created = await gateway.client.v1.invoice_items.create_async(
            params, {"idempotency_key": item.idempotency_key}
        )
    return _made(created)


async def find_item(gateway: StripeGateway, item: PendingItem) -> MadeItem | None:
    """Return the invoice item of an earlier try, whether billed or still pending."""
    params: InvoiceItemListParams = {"customer": item.stripe_customer_id, "limit": PAGE_SIZE}
    async with translated():
        page = await gateway.client.v1.invoice_items.list_async(params)
        async for found in page.auto_paging_iter():
            if _matches(item, found.to_dict()["metadata"] or {}):
                return _made(found)
    return None


def _made(item: "InvoiceItem") -> MadeItem:
    return MadeItem(item.id, datetime.fromtimestamp(item.date, UTC))


def _matches(item: PendingItem, metadata: Mapping[str, str]) -> bool:
    named = (metadata.get(CHARGE_ID), metadata.get(ATTEMPT))
    return named == (item.charge_id, str(item.attempt))


async def delete_pending_item(gateway: StripeGateway, stripe_id: str) -> None:
    """Remove a charge from the next invoice.

    StripeObjectMissingError if it does not exist, StripeError if it has been billed.
    """
    async with translated():
        await gateway.client.v1.invoice_items.delete_async(stripe_id)


async def void_invoice(gateway: StripeGateway, invoice_id: str, key: str) -> None:
    """Void an open or uncollectible invoice: it can no longer be paid."""
    async with translated():
        await gateway.client.v1.invoices.void_invoice_async(
            invoice_id, options={"idempotency_key": key}
        )


async def finalize_invoice(
    gateway: StripeGateway, invoice_id: str, key: str, *, keeps_collecting: bool = False
) -> str:
    """Finalize a draft, and return its status: `paid` if nothing is due.

    With `keeps_collecting` Stripe goes on to collect it as it would have; else nobody does until
    it is paid with `pay_invoice`.
    """
    params: InvoiceFinalizeInvoiceParams = {} if keeps_collecting else {"auto_advance": False}
    async with translated():
        invoice = await gateway.client.v1.invoices.finalize_invoice_async(
            invoice_id, params, {"idempotency_key": key}
        )
    return str(invoice.status)


async def pay_invoice(gateway: StripeGateway, invoice_id: str, key: str) -> None:
    """Charge the customer for an open invoice; PaymentFailedError if the payment fails."""
    async with translated():
        await gateway.client.v1.invoices.pay_async(invoice_id, {}, {"idempotency_key": key})


@dataclass(frozen=True, slots=True)
class ListedRefund:
    """A refund as Stripe lists it; `change_id` is our change that created it, if any."""

    id: str
    status: str | None
    change_id: str | None


async def create_refund(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> str:
    """Refund a payment, in full or in part, and return the refund's id."""
    async with translated():
        refund = await gateway.client.v1.refunds.create_async(
            cast("RefundCreateParams", dict(params)), {"idempotency_key": key}
        )
    return refund.id


async def list_refunds(gateway: StripeGateway, payment_intent_id: str) -> Sequence[ListedRefund]:
    """Return the refunds of a payment, the latest hundred at most."""
    async with translated():
        page = await gateway.client.v1.refunds.list_async(
            {"payment_intent": payment_intent_id, "limit": PAGE_SIZE}
        )
    return [_listed(refund.to_dict()) for refund in page.data]


def _listed(refund: Mapping[str, Any]) -> ListedRefund:
    metadata = refund.get("metadata") or {}
    return ListedRefund(refund["id"], refund.get("status"), metadata.get(CHANGE_ID))
