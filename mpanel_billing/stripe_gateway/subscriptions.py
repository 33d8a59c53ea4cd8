"""Changes of a subscription in Stripe, their previews, and its coupons."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.errors import PaymentFailedError, StripeError
from mpanel_billing.stripe_gateway.billed import CORRECTION, added_tax
from mpanel_billing.stripe_gateway.charges import pay_invoice
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    import stripe
    from stripe.params import (
        InvoiceCreatePreviewParams,
        SubscriptionCancelParams,
        SubscriptionCreateParams,
        SubscriptionPauseParams,
        SubscriptionResumeParams,
        SubscriptionUpdateParams,
    )

NO_UPCOMING_INVOICE = "invoice_upcoming_none"
"""Stripe's error code for a subscription that ends before it is billed again."""
PROMOTION_CODE = "promo_"
"""How Stripe's ids of promotion codes begin; the catalogue's coupons are in upper case."""
ENDED_AT_STRIPE = "invalid_canceled_subscription_fields"
"""Stripe's error code for a change of a subscription that has ended."""


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """A line of a previewed invoice; `amount` is in minor units, negative for a credit.

    It is before its `discount`; less that it contains `tax_included` of the `tax`. `product` is
    Stripe's id. `is_correction`: it takes back a credit (`billed.CORRECTION`). `tax_behavior` says
    whether it contains its taxes; None: it has none.
    """

    description: str
    amount: int
    proration: bool
    period_start: datetime
    period_end: datetime
    product: str | None
    is_correction: bool
    tax_behavior: str | None = None
    discount: int = 0
    tax: int = 0
    tax_included: int = 0

    @property
    def net(self) -> int:
        """What it comes to without taxes."""
        return self.amount - self.discount - self.tax_included

    @property
    def gross(self) -> int:
        """What it comes to with them: those of all lines are the total of the invoice."""
        return self.net + self.tax


@dataclass(frozen=True, slots=True)
class Preview:
    """A previewed invoice, in minor units of `currency`.

    `total` is the sum of the lines less discounts, with the `added_tax` that prices do not contain,
    negative for a credit; `amount_due` is what the customer's card would be charged after their
    `balance` is applied (negative: a credit). `proration_date` is when the old terms end and the
    new ones begin, None if nothing is prorated.
    """

    currency: str
    total: int
    amount_due: int
    proration_date: datetime | None
    lines: tuple[PreviewLine, ...]
    added_tax: int = 0
    balance: int = 0

    @property
    def tax(self) -> int:
        """The taxes of all lines, whether their prices contain them or not."""
        return sum(line.tax for line in self.lines)


async def create_subscription(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> str:
    """Create a subscription and return its id; PaymentFailedError if its first payment fails."""
    async with translated():
        created = await gateway.client.v1.subscriptions.create_async(
            cast("SubscriptionCreateParams", dict(params)), {"idempotency_key": key}
        )
    return created.id


async def find_subscription(
    gateway: StripeGateway, customer: str, metadata_key: str, value: str
) -> str | None:
    """Return the id of the customer's subscription with this metadata, if there is one."""
    async with translated():
        page = await gateway.client.v1.subscriptions.list_async(
            {"customer": customer, "status": "all", "limit": PAGE_SIZE}
        )
        async for found in page.auto_paging_iter():
            if found.metadata.to_dict().get(metadata_key) == value:
                return found.id
    return None


async def update_subscription(
    gateway: StripeGateway, subscription_id: str, params: Mapping[str, Any], key: str
) -> None:
    """Update a subscription; PaymentFailedError if the payment for it fails."""
    async with translated():
        await gateway.client.v1.subscriptions.update_async(
            subscription_id,
            cast("SubscriptionUpdateParams", dict(params)),
            {"idempotency_key": key},
        )


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    """A change that waits for the customer to confirm its payment, in minor units of `currency`.

    At `url` they do; at `expires_at` Stripe drops the change, and voids the invoice.
    """

    url: str
    amount: int
    currency: str
    expires_at: datetime


async def find_pending_update(gateway: StripeGateway, subscription_id: str) -> PendingUpdate | None:
    """Return the change of a subscription that waits for its payment; StripeError."""
    async with translated():
        held = await gateway.client.v1.subscriptions.retrieve_async(
            subscription_id, {"expand": ["latest_invoice"]}
        )
    fields = held.to_dict()
    pending, invoice = fields.get("pending_update"), fields.get("latest_invoice") or {}
    if not pending or not invoice.get("hosted_invoice_url"):
        return None
    return PendingUpdate(
        url=invoice["hosted_invoice_url"],
        amount=invoice["amount_remaining"],
        currency=invoice["currency"],
        expires_at=datetime.fromtimestamp(pending["expires_at"], UTC),
    )


async def cancel_subscription(
    gateway: StripeGateway, subscription_id: str, params: Mapping[str, Any]
) -> None:
    """Cancel a subscription now; StripeObjectMissingError if it has already ended.

    Without an idempotency key: Stripe ignores them on a DELETE, which is idempotent anyway.
    """
    async with translated():
        await gateway.client.v1.subscriptions.cancel_async(
            subscription_id, cast("SubscriptionCancelParams", dict(params))
        )


async def pause_subscription(
    gateway: StripeGateway, subscription_id: str, params: Mapping[str, Any], key: str
) -> None:
    """Pause a subscription now; StripeError for one that Stripe does not pause."""
    async with translated():
        await gateway.client.v1.subscriptions.pause_async(
            subscription_id,
            cast("SubscriptionPauseParams", dict(params)),
            {"idempotency_key": key},
        )


async def resume_subscription(
    gateway: StripeGateway, subscription_id: str, params: Mapping[str, Any], key: str
) -> None:
    """Resume a subscription that Stripe has paused; its first invoice may stay unpaid.

    No documentation says whether Stripe attempts to collect that, or waits until somebody does
    (docs/sandbox.md, `--plain-resume`): if it waits, the attempt is made here.
    """
    async with translated():
        resumed = await gateway.client.v1.subscriptions.resume_async(
            subscription_id,
            cast("SubscriptionResumeParams", dict(params)),
            {"idempotency_key": key},
        )
    if resumed.status == "paused":
        await _attempt_resumption(gateway, subscription_id, f"{key}-pay")


async def _attempt_resumption(gateway: StripeGateway, subscription_id: str, key: str) -> None:
    async with translated():
        held = await gateway.client.v1.subscriptions.retrieve_async(
            subscription_id, {"expand": ["latest_invoice"]}
        )
    fields = held.to_dict()
    invoice = fields.get("latest_invoice") or {}
    if fields["status"] == "paused" and invoice.get("status") == "open":
        with suppress(PaymentFailedError):  # an attempt resumes it, too: it is past due
            await pay_invoice(gateway, invoice["id"], key)


async def attach_coupon(
    gateway: StripeGateway, stripe_subscription_id: str, coupon: str, idempotency_key: str
) -> None:
    """Give the subscription a discount, which replaces those it has.

    `coupon` is the id of a coupon, or of a promotion code.
    """
    await update_subscription(
        gateway, stripe_subscription_id, {"discounts": [redeeming(coupon)]}, idempotency_key
    )


def redeeming(coupon: str) -> dict[str, str]:
    """Return the param that redeems a coupon, or the promotion code that is named."""
    return {"promotion_code" if coupon.startswith(PROMOTION_CODE) else "coupon": coupon}


async def has_coupon(gateway: StripeGateway, stripe_subscription_id: str, coupon: str) -> bool:
    """Return whether the subscription currently has a discount of this coupon, or code."""
    async with translated():
        held = await gateway.client.v1.subscriptions.retrieve_async(
            stripe_subscription_id, {"expand": ["discounts"]}
        )
    return any(
        coupon in {_id_of(discount.source.coupon), _id_of(discount.promotion_code)}
        for discount in held.discounts
        if not isinstance(discount, str)
    )


def _id_of(reference: "str | stripe.StripeObject | None") -> str | None:
    return reference if isinstance(reference, str) or reference is None else str(reference["id"])


async def preview_discounts(
    gateway: StripeGateway, subscription_id: str, discounts: Sequence[Mapping[str, str]] | None
) -> Preview | None:
    """Return a subscription's next invoice with these discounts, or with those that it has.

    None: there is no further one. StripeError.
    """
    given = {} if discounts is None else {"discounts": list(discounts) or ""}
    try:
        return await _previewed(gateway, {"subscription": subscription_id, **given})
    except StripeError as error:
        if error.stripe_code != NO_UPCOMING_INVOICE:
            raise
        return None


async def find_card_fingerprint(gateway: StripeGateway, stripe_subscription_id: str) -> str | None:
    """Return the fingerprint of the card that pays for a subscription.

    It is the same whenever a card number is used in a Stripe account. Accounts of direct debits
    have one, too; a wallet may have that of the device, and some payment methods have none. Source:
    https://docs.stripe.com/api/payment_methods/object#payment_method_object-card-fingerprint
    """
    expand = ["default_payment_method", "customer.invoice_settings.default_payment_method"]
    async with translated():
        subscription = await gateway.client.v1.subscriptions.retrieve_async(
            stripe_subscription_id, {"expand": expand}
        )
    fields = subscription.to_dict()
    settings = fields["customer"].get("invoice_settings") or {}
    method = fields.get("default_payment_method") or settings.get("default_payment_method") or {}
    fingerprint: str | None = (method.get(method.get("type")) or {}).get("fingerprint")
    return fingerprint


async def preview_change(
    gateway: StripeGateway,
    subscription_id: str,
    details: Mapping[str, Any],
    one_time_items: Sequence[Mapping[str, Any]] = (),
) -> Preview:
    """Return the next invoice of a subscription as it would be after a change.

    `details` are Stripe's `subscription_details`: the items and how they are prorated; the
    `one_time_items` (Stripe's `invoice_items`) are charged with the change. StripeError
    with the `stripe_code` NO_UPCOMING_INVOICE if there would be no invoice.
    """
    params = {
        "subscription": subscription_id,
        "subscription_details": dict(details),
        "invoice_items": list(one_time_items),
    }
    return await _previewed(gateway, params)


async def _previewed(gateway: StripeGateway, params: Mapping[str, Any]) -> Preview:
    async with translated():
        invoice = await gateway.client.v1.invoices.create_preview_async(
            cast("InvoiceCreatePreviewParams", dict(params))
        )
        lines = [_line(line) async for line in invoice.lines.auto_paging_iter()]
    return Preview(
        currency=invoice.currency,
        total=invoice.total,
        amount_due=invoice.amount_due,
        proration_date=_proration_date(invoice),
        lines=tuple(lines),
        added_tax=added_tax(invoice.to_dict().get("total_taxes")),
        balance=invoice.starting_balance,
    )


def _proration_date(invoice: "stripe.Invoice") -> datetime | None:
    details = invoice.parent.subscription_details if invoice.parent else None
    moment = details.subscription_proration_date if details else None
    return datetime.fromtimestamp(moment, UTC) if moment else None


def _line(line: "stripe.InvoiceLineItem") -> PreviewLine:
    fields = line.to_dict()
    parent = fields.get("parent") or {}
    origins = ("invoice_item_details", "subscription_item_details")
    taxes = fields.get("taxes") or ()
    tax = sum(one["amount"] for one in taxes)
    return PreviewLine(
        description=line.description or "",
        amount=line.amount,
        proration=any((parent.get(origin) or {}).get("proration") for origin in origins),
        period_start=datetime.fromtimestamp(line.period.start, UTC),
        period_end=datetime.fromtimestamp(line.period.end, UTC),
        product=((fields.get("pricing") or {}).get("price_details") or {}).get("product"),
        is_correction=CORRECTION in (fields.get("metadata") or {}),
        tax_behavior=next((one["tax_behavior"] for one in taxes), None),
        discount=sum(one["amount"] for one in fields.get("discount_amounts") or ()),
        tax=tax,
        tax_included=tax - added_tax(taxes),
    )
