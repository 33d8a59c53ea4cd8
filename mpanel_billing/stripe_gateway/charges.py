"""Pending invoice items and coupons of a subscription, in Stripe."""

from collections.abc import Mapping
from dataclasses import dataclass

from stripe.params import InvoiceItemCreateParams, InvoiceItemListParams, SubscriptionUpdateParams

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway

CHARGE_ID = "chargeId"
"""Metadata by which a charge of ours is known on its invoice item."""

ATTEMPT = "attempt"


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


async def create_pending_item(gateway: StripeGateway, item: PendingItem) -> str:
    """Put a charge on the subscription's next invoice; answer the invoice item's id."""
    params: InvoiceItemCreateParams = {
        "customer": item.stripe_customer_id,
        "subscription": item.stripe_subscription_id,
        "amount": item.amount,
        "currency": item.currency,
        "description": item.description,
        "metadata": {CHARGE_ID: item.charge_id, ATTEMPT: str(item.attempt)},
    }
    async with translated():
        made = await gateway.client.v1.invoice_items.create_async(
            params, {"idempotency_key": item.idempotency_key}
        )
    return made.id


async def find_item(gateway: StripeGateway, item: PendingItem) -> str | None:
    """Return the id of the invoice item that was made for a charge before, billed or not."""
    params: InvoiceItemListParams = {"customer": item.stripe_customer_id, "limit": 100}
    async with translated():
        page = await gateway.client.v1.invoice_items.list_async(params)
        async for made in page.auto_paging_iter():
            if _is_of(item, made.to_dict()["metadata"] or {}):
                return made.id
    return None


def _is_of(item: PendingItem, metadata: Mapping[str, str]) -> bool:
    named = (metadata.get(CHARGE_ID), metadata.get(ATTEMPT))
    return named == (item.charge_id, str(item.attempt))


async def delete_pending_item(gateway: StripeGateway, stripe_id: str) -> None:
    """Take a charge off the next invoice.

    Raises StripeObjectMissingError when it is gone, StripeError when it is billed already.
    """
    async with translated():
        await gateway.client.v1.invoice_items.delete_async(stripe_id)


async def attach_coupon(
    gateway: StripeGateway, stripe_subscription_id: str, coupon: str, idempotency_key: str
) -> None:
    """Give the subscription a discount, instead of any that it has."""
    params: SubscriptionUpdateParams = {"discounts": [{"coupon": coupon}]}
    async with translated():
        await gateway.client.v1.subscriptions.update_async(
            stripe_subscription_id, params, {"idempotency_key": idempotency_key}
        )


async def has_coupon(gateway: StripeGateway, stripe_subscription_id: str, coupon: str) -> bool:
    """Tell whether the subscription has that coupon's discount now."""
    async with translated():
        subscription = await gateway.client.v1.subscriptions.retrieve_async(
            stripe_subscription_id, {"expand": ["discounts"]}
        )
    return any(
        not isinstance(discount, str) and _coupon_of(discount) == coupon
        for discount in subscription.discounts
    )


def _coupon_of(discount: object) -> str | None:
    source = getattr(discount, "source", None)
    coupon = getattr(source, "coupon", None)
    return coupon if isinstance(coupon, str) or coupon is None else coupon.id
