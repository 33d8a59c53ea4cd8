"""One-off charges of subscriptions: invoice items that wait for the next invoice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.stripe_gateway.charges import CHANGE_ID, CHARGE_ID
from mpanel_billing.stripe_gateway.domain_charges import RENEWAL_ID
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    from stripe.params import InvoiceItemCreateParams, InvoiceItemListParams


@dataclass(frozen=True, slots=True)
class OneOffCharge:
    """An invoice item of a subscription; `amount` is in minor units, before taxes added to it.

    `stripe_invoice_id`: what bills it, None while it waits. `change_id`: our change that made it.
    `is_automatic`: a worker made it, and makes it again if its invoice is void.
    """

    id: str
    stripe_subscription_id: str | None
    description: str
    quantity: int
    amount: int
    currency: str
    created: datetime
    stripe_invoice_id: str | None
    change_id: str | None
    is_automatic: bool


async def create_charge(
    gateway: StripeGateway, params: Mapping[str, Any], key: str
) -> OneOffCharge:
    """Make an invoice item for the next invoice of the subscription that the params name."""
    async with translated():
        made = await gateway.client.v1.invoice_items.create_async(
            cast("InvoiceItemCreateParams", dict(params)), {"idempotency_key": key}
        )
    return _charge(made.to_dict())


async def list_made(
    gateway: StripeGateway, customer_id: str, stripe_subscription_id: str
) -> Sequence[OneOffCharge]:
    """Return the charges that changes of ours have made of a subscription, the newest first."""
    found = await _list(gateway, {"customer": customer_id})
    return [
        one
        for one in found
        if one.change_id and one.stripe_subscription_id == stripe_subscription_id
    ]


async def list_waiting(
    gateway: StripeGateway, customer_id: str, stripe_subscription_id: str
) -> Sequence[OneOffCharge]:
    """Return what waits for the next invoice of a subscription, whoever made it: prorations, too.

    What is of no subscription waits for the next invoice of any. Left out is what workers see to.
    """
    found = await _list(gateway, {"customer": customer_id, "pending": True})
    of_it = {None, stripe_subscription_id}
    return [one for one in found if one.stripe_subscription_id in of_it and not one.is_automatic]


async def _list(gateway: StripeGateway, asked: Mapping[str, Any]) -> list[OneOffCharge]:
    params = cast("InvoiceItemListParams", {**asked, "limit": PAGE_SIZE})
    async with translated():
        page = await gateway.client.v1.invoice_items.list_async(params)
        return [_charge(item.to_dict()) async for item in page.auto_paging_iter()]


async def get_charge(gateway: StripeGateway, charge_id: str) -> OneOffCharge:
    """Return an invoice item; StripeObjectMissingError if there is none, or it was deleted."""
    async with translated():
        found = await gateway.client.v1.invoice_items.retrieve_async(charge_id)
    return _charge(found.to_dict())


def _charge(fields: Mapping[str, Any]) -> OneOffCharge:
    of_subscription = (fields.get("parent") or {}).get("subscription_details") or {}
    metadata = fields.get("metadata") or {}
    return OneOffCharge(
        id=fields["id"],
        stripe_subscription_id=of_subscription.get("subscription"),
        description=fields.get("description") or "",
        quantity=fields.get("quantity") or 1,
        amount=fields["amount"],
        currency=fields["currency"],
        created=datetime.fromtimestamp(fields["date"], UTC),
        stripe_invoice_id=fields.get("invoice"),
        change_id=metadata.get(CHANGE_ID),
        is_automatic=CHARGE_ID in metadata or RENEWAL_ID in metadata,
    )
