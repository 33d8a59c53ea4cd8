"""Invoices made by hand at Stripe: a draft, with its lines, until it is finalized or deleted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.stripe_gateway.charges import CHANGE_ID
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    from stripe.params import InvoiceCreateParams, InvoiceItemCreateParams

LINE = "line"
"""Metadata of an invoice item: its place among the lines of a draft."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice that one of our changes made, and which of the change's lines it has."""

    id: str
    lines: frozenset[int] = frozenset()


async def create_draft(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> Draft:
    """Make a draft without lines, which nobody finalizes by themselves."""
    fixed = {"auto_advance": False, "pending_invoice_items_behavior": "exclude"}
    async with translated():
        made = await gateway.client.v1.invoices.create_async(
            cast("InvoiceCreateParams", {**params, **fixed}), {"idempotency_key": key}
        )
    return Draft(made.id)


async def find_draft(gateway: StripeGateway, customer_id: str, change_id: str) -> Draft | None:
    """Return the invoice that a change has made, if it has."""
    found = await _find_made(gateway, customer_id, change_id)
    if found is None:
        return None
    lines = await gateway.list_invoice_lines(found)
    marks = (line.get("metadata") or {} for line in lines)
    return Draft(found, frozenset(int(one[LINE]) for one in marks if LINE in one))


async def _find_made(gateway: StripeGateway, customer_id: str, change_id: str) -> str | None:
    async with translated():
        page = await gateway.client.v1.invoices.list_async(
            {"customer": customer_id, "limit": PAGE_SIZE}
        )
        async for one in page.auto_paging_iter():
            if (one.to_dict().get("metadata") or {}).get(CHANGE_ID) == change_id:
                return str(one.id)
    return None


async def add_line(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> None:
    """Put a line on a draft."""
    async with translated():
        await gateway.client.v1.invoice_items.create_async(
            cast("InvoiceItemCreateParams", dict(params)), {"idempotency_key": key}
        )


async def delete_draft(gateway: StripeGateway, invoice_id: str) -> None:
    """Delete a draft; StripeObjectMissingError if it does not exist any more."""
    async with translated():
        await gateway.client.v1.invoices.delete_async(invoice_id)
