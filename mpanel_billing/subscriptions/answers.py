"""What /api/billing answers. Sums are minor units of the currency beside them, moments UTC."""

from collections.abc import Sequence
from typing import Self
from uuid import UUID

from mpanel_billing.answers import Answer, Moment, Part
from mpanel_billing.subscriptions import holdings
from mpanel_billing.subscriptions.plan_change import Proration
from mpanel_billing.subscriptions.preview import ChangePreview


class ItemPart(Part):
    """What a subscription charges each term; `productId` None: not of our catalogue."""

    id: UUID
    product_id: str | None
    kind: str | None
    name: str | None
    quantity: int | None
    unit_amount: int | None
    currency: str

    @classmethod
    def of(cls, item: holdings.Item) -> Self:
        """Show an item; `productId` is the catalogue's code, as in `planId`."""
        return cls(
            id=item.id,
            product_id=item.code,
            kind=item.kind,
            name=item.name,
            quantity=item.quantity,
            unit_amount=item.unit_amount,
            currency=item.currency,
        )


class TenantPart(Part):
    """The tenant that a subscription was provisioned as."""

    id: UUID
    domain: str
    status: str | None


class ChargePart(Part):
    """A sum, and when it is charged; before discounts and credit where not said otherwise."""

    amount: int
    currency: str
    at: Moment | None


class SubscriptionPart(Part):
    """A subscription: `status` is mPanel's word, `stripeStatus` Stripe's."""

    id: UUID
    customer_id: UUID | None
    status: str
    stripe_status: str | None
    plan_id: str | None
    plan_name: str | None
    billing_cycle: str | None
    currency: str
    amount: int
    items: tuple[ItemPart, ...]
    current_period_start: Moment | None
    current_period_end: Moment | None
    trial_end: Moment | None
    will_end: bool
    cancel_at_period_end: bool
    cancel_at: Moment | None
    canceled_at: Moment | None
    ended_at: Moment | None
    collection_paused: bool
    next_charge: ChargePart | None
    tenant: TenantPart | None
    created_at: Moment

    @classmethod
    def of(cls, held: holdings.Subscription) -> Self:
        """Show a subscription."""
        tenant, at = held.tenant, held.next_charge_at
        return cls(
            id=held.id,
            customer_id=held.customer_id,
            status=held.status,
            stripe_status=held.stripe_status,
            plan_id=held.plan.code if held.plan else None,
            plan_name=held.plan.name if held.plan else None,
            billing_cycle=held.billing_cycle,
            currency=held.currency,
            amount=held.amount,
            items=tuple(ItemPart.of(item) for item in held.items),
            current_period_start=held.current_period_start,
            current_period_end=held.current_period_end,
            trial_end=held.trial_end,
            will_end=held.will_end,
            cancel_at_period_end=held.cancel_at_period_end,
            cancel_at=held.cancel_at,
            canceled_at=held.canceled_at,
            ended_at=held.ended_at,
            collection_paused=held.collection_paused,
            next_charge=ChargePart(amount=held.amount, currency=held.currency, at=at)
            if at
            else None,
            tenant=TenantPart(id=tenant.id, domain=tenant.domain, status=tenant.status)
            if tenant
            else None,
            created_at=held.created_at,
        )


class InvoicePart(Part):
    """An invoice: `status` is Stripe's word."""

    id: UUID
    subscription_id: UUID | None
    number: str | None
    status: str
    billing_reason: str | None
    currency: str
    amount_due: int
    amount_paid: int
    amount_remaining: int
    amount_refunded: int
    period_start: Moment | None
    period_end: Moment | None
    created_at: Moment
    paid_at: Moment | None
    next_payment_attempt: Moment | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None

    @classmethod
    def of(cls, invoice: holdings.Invoice) -> Self:
        """Show an invoice."""
        return cls(
            id=invoice.id,
            subscription_id=invoice.subscription_id,
            number=invoice.stripe_number,
            status=invoice.stripe_status,
            billing_reason=invoice.billing_reason,
            currency=invoice.currency,
            amount_due=invoice.amount_due,
            amount_paid=invoice.amount_paid,
            amount_remaining=invoice.amount_remaining,
            amount_refunded=invoice.amount_refunded,
            period_start=invoice.period_start,
            period_end=invoice.period_end,
            created_at=invoice.stripe_created,
            paid_at=invoice.paid_at,
            next_payment_attempt=invoice.next_payment_attempt,
            hosted_invoice_url=invoice.hosted_invoice_url,
            invoice_pdf=invoice.invoice_pdf,
        )


class PreviewLinePart(Part):
    """A line of the invoice to come; negative for what is credited."""

    description: str
    amount: int
    proration: bool
    period_start: Moment
    period_end: Moment


class RefundPart(Part):
    """Money given back; `id` and `status` are Stripe's."""

    id: str
    amount: int
    currency: str
    status: str
    reason: str | None
    created_at: Moment


class PortalAnswer(Answer):
    """Where to send the customer, within a few minutes."""

    url: str


class SubscriptionAnswer(Answer):
    """One subscription."""

    subscription: SubscriptionPart


class SubscriptionsAnswer(Answer):
    """A page of subscriptions; `nextCursor` asks for the next one, None: this was the last."""

    subscriptions: tuple[SubscriptionPart, ...]
    next_cursor: str | None


class ChangedAnswer(SubscriptionAnswer):
    """A subscription after a request; `changed` is false where it was like that already."""

    changed: bool


class PreviewAnswer(Answer):
    """What a change would come to; see docs/billing-api.md."""

    subscription_id: UUID
    changes: bool
    currency: str
    due_now: int
    credited: int
    lines: tuple[PreviewLinePart, ...]
    next_charge: ChargePart | None
    recurring: int
    proration_behavior: Proration
    proration_date: Moment | None

    @classmethod
    def of(cls, id_: UUID, preview: ChangePreview, proration: Proration) -> Self:
        """Show a preview."""
        following = preview.next
        return cls(
            subscription_id=id_,
            changes=preview.changes,
            currency=preview.currency,
            due_now=preview.due_now,
            credited=preview.credited,
            lines=tuple(
                PreviewLinePart(
                    description=line.description,
                    amount=line.amount,
                    proration=line.proration,
                    period_start=line.period_start,
                    period_end=line.period_end,
                )
                for line in (preview.invoice.lines if preview.invoice else ())
            ),
            next_charge=ChargePart(
                amount=following.amount, currency=preview.currency, at=following.at
            )
            if following
            else None,
            recurring=preview.recurring,
            proration_behavior=proration,
            proration_date=preview.at,
        )


class InvoicesAnswer(Answer):
    """A page of invoices; `nextCursor` asks for the next one, None: this was the last."""

    invoices: tuple[InvoicePart, ...]
    next_cursor: str | None


class RefundAnswer(Answer):
    """A refund, and the invoice after it."""

    refund: RefundPart
    invoice: InvoicePart

    @classmethod
    def of(cls, refund: holdings.Refund, invoice: holdings.Invoice) -> Self:
        """Show a refund."""
        part = RefundPart(
            id=refund.id,
            amount=refund.amount,
            currency=refund.currency,
            status=refund.status,
            reason=refund.reason,
            created_at=refund.created,
        )
        return cls(refund=part, invoice=InvoicePart.of(invoice))


def show_subscriptions(held: Sequence[holdings.Subscription]) -> tuple[SubscriptionPart, ...]:
    """Show subscriptions."""
    return tuple(SubscriptionPart.of(one) for one in held)


def show_invoices(invoices: Sequence[holdings.Invoice]) -> tuple[InvoicePart, ...]:
    """Show invoices."""
    return tuple(InvoicePart.of(one) for one in invoices)
