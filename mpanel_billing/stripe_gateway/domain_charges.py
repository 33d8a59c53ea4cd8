"""How a further year of a domain is charged: a line on a plan's invoice, or an own invoice."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    from stripe import Invoice, InvoiceItem
    from stripe.params import InvoiceCreateParams, InvoiceItemCreateParams

RENEWAL_ID = "renewalId"
"""Metadata of an invoice item and of an invoice: the id of our renewal."""

ATTEMPT = "attempt"


@dataclass(frozen=True, slots=True)
class ChargedItem:
    """An invoice item at Stripe, and the invoice that it is on; None: it waits for the next."""

    id: str
    invoice: str | None


@dataclass(frozen=True, slots=True)
class OwnInvoice:
    """An invoice that was made for one renewal, and its line; None: it has none yet."""

    id: str
    status: str
    item: str | None


async def create_item(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> ChargedItem:
    """Make an invoice item: pending for a subscription that is named, or on a draft."""
    async with translated():
        made = await gateway.client.v1.invoice_items.create_async(
            cast("InvoiceItemCreateParams", dict(params)), {"idempotency_key": key}
        )
    return _item(made.to_dict())


async def find_item(
    gateway: StripeGateway, customer: str, renewal_id: str, attempt: int
) -> ChargedItem | None:
    """Return the invoice item that an attempt has made, whether billed or still pending."""
    async with translated():
        page = await gateway.client.v1.invoice_items.list_async(
            {"customer": customer, "limit": PAGE_SIZE}
        )
        found = await _find_of(page.auto_paging_iter(), renewal_id, attempt)
    return _item(found) if found else None


async def get_item(gateway: StripeGateway, item_id: str) -> ChargedItem:
    """Return an invoice item as it is now; StripeObjectMissingError if it was deleted."""
    async with translated():
        found = await gateway.client.v1.invoice_items.retrieve_async(item_id)
    return _item(found.to_dict())


async def create_invoice(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> OwnInvoice:
    """Make a draft without lines, which takes up nothing else that waits for the customer."""
    fixed = {"auto_advance": False, "pending_invoice_items_behavior": "exclude"}
    async with translated():
        made = await gateway.client.v1.invoices.create_async(
            cast("InvoiceCreateParams", {**params, **fixed}), {"idempotency_key": key}
        )
    return OwnInvoice(made.id, "draft", None)


async def find_invoice(
    gateway: StripeGateway, customer: str, renewal_id: str, attempt: int
) -> OwnInvoice | None:
    """Return the invoice that an attempt has made."""
    async with translated():
        page = await gateway.client.v1.invoices.list_async(
            {"customer": customer, "limit": PAGE_SIZE}
        )
        found = await _find_of(page.auto_paging_iter(), renewal_id, attempt)
    return _own_invoice(found) if found else None


async def get_invoice(gateway: StripeGateway, invoice_id: str) -> OwnInvoice | None:
    """Return an invoice of a renewal as it is now; None if it was deleted."""
    with suppress(StripeObjectMissingError):
        async with translated():
            found = await gateway.client.v1.invoices.retrieve_async(invoice_id)
        return _own_invoice(found.to_dict())
    return None


async def get_line_total(gateway: StripeGateway, invoice_id: str, item_id: str) -> int | None:
    """Return what a line makes of an invoice's total, in minor units; None: it is not on it."""
    async with translated():
        invoice = await gateway.client.v1.invoices.retrieve_async(invoice_id)
        lines = [line.to_dict() async for line in invoice.lines.auto_paging_iter()]
    return next((_total(line) for line in lines if _item_of(line) == item_id), None)


def _total(line: Mapping[str, Any]) -> int:
    discounts = sum(int(one["amount"]) for one in line.get("discount_amounts") or ())
    taxes = sum(
        int(one["amount"])
        for one in line.get("taxes") or ()
        if one.get("tax_behavior") == "exclusive"
    )
    return int(line["amount"]) - discounts + taxes


def _item_of(line: Mapping[str, Any]) -> str | None:
    details = (line.get("parent") or {}).get("invoice_item_details") or {}
    found: str | None = details.get("invoice_item")
    return found


def _own_invoice(fields: Mapping[str, Any]) -> OwnInvoice:
    lines = fields["lines"]["data"]
    return OwnInvoice(fields["id"], fields["status"], _item_of(lines[0]) if lines else None)


def _item(fields: Mapping[str, Any]) -> ChargedItem:
    return ChargedItem(fields["id"], fields.get("invoice"))


async def _find_of(
    listed: "AsyncIterator[InvoiceItem] | AsyncIterator[Invoice]", renewal_id: str, attempt: int
) -> Mapping[str, Any] | None:
    """Return the fields of what an attempt has made; None if that is not listed."""
    async for one in listed:
        fields = one.to_dict()
        metadata = fields.get("metadata") or {}
        if (metadata.get(RENEWAL_ID), metadata.get(ATTEMPT)) == (renewal_id, str(attempt)):
            return fields
    return None
