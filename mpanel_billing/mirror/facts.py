"""What we mirror of Stripe's objects, whatever API version they came in.

Amounts are minor units, moments are UTC. The field names are those of our columns.
They are tuples because several are made of every event: a frozen dataclass takes 2.5 times as long.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class State(NamedTuple):
    """How far an object has come: what orders two snapshots of the same second.

    `final`: Stripe never changes it again. `progress` only ever grows.
    """

    final: bool
    progress: tuple[int, ...] = ()


def subscription_state(stripe_status: str) -> State:
    """Return how far a subscription has come."""
    return State(final=stripe_status in {"canceled", "incomplete_expired"})


def invoice_state(stripe_status: str, attempt_count: int, amount_paid: int) -> State:
    """Return how far an invoice has come: its status, attempts and amount paid only grow."""
    rank = _INVOICE_STATUS_RANK[stripe_status]
    return State(stripe_status in {"paid", "void", "deleted"}, (rank, attempt_count, amount_paid))


def invoice_payment_state(status: str) -> State:
    """Return how far the payment of an invoice has come."""
    return State(final=status != "open")


def refund_state(status: str) -> State:
    """Return how far a refund has come: even one that succeeded may be sent back by the bank."""
    return State(status in NOTHING_GIVEN, (_REFUND_STATUS_RANK[status],))


NOTHING_GIVEN = frozenset({"failed", "canceled"})
"""What a refund ends as that gave nothing back; Stripe never changes it again."""


def session_state(status: str, payment_status: str | None) -> State:
    """Return how far a Checkout session has come; a complete one may be paid days later."""
    unpaid = payment_status == "unpaid"
    final = status == "expired" or (status == "complete" and not unpaid)
    return State(final, (int(status != "open"), int(not unpaid)))


def customer_state(*, deleted: bool) -> State:
    """Return how far a customer has come."""
    return State(final=deleted)


_INVOICE_STATUS_RANK = {
    "draft": 0,
    "open": 1,
    "uncollectible": 2,
    "paid": 3,
    "void": 3,
    "deleted": 4,
}

_REFUND_STATUS_RANK = {
    "pending": 0,
    "requires_action": 0,
    "succeeded": 1,
    "failed": 2,
    "canceled": 2,
}


class ItemFacts(NamedTuple):
    """One item of a subscription."""

    stripe_subscription_item_id: str
    stripe_price_id: str | None
    quantity: int | None
    unit_amount: int | None
    currency: str
    recurring_interval: str | None
    interval_count: int | None
    current_period_start: datetime | None
    current_period_end: datetime | None


class SubscriptionFacts(NamedTuple):
    """A subscription and its items. `order_id` is the subscription of ours that it names."""

    object_id: str
    stripe_customer_id: str
    livemode: bool
    stripe_status: str
    order_id: UUID | None
    currency: str
    amount: int
    billing_cycle: str | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    collection_paused: bool
    items: tuple[ItemFacts, ...]
    items_complete: bool

    @property
    def state(self) -> State:
        """How far it has come."""
        return subscription_state(self.stripe_status)


class InvoicePaymentFacts(NamedTuple):
    """One payment of one invoice."""

    object_id: str
    stripe_invoice_id: str
    livemode: bool
    stripe_payment_intent_id: str | None
    stripe_charge_id: str | None
    amount_paid: int | None
    currency: str | None
    status: str
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return invoice_payment_state(self.status)


class InvoiceFacts(NamedTuple):
    """An invoice; `period_start` and `period_end` are those of its subscription lines."""

    object_id: str
    stripe_subscription_id: str | None
    stripe_customer_id: str | None
    livemode: bool
    stripe_number: str | None
    stripe_status: str
    billing_reason: str | None
    currency: str
    subtotal: int
    tax: int
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    period_start: datetime | None
    period_end: datetime | None
    attempt_count: int
    next_payment_attempt: datetime | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None
    stripe_payment_intent_id: str | None
    due_date: datetime | None
    paid_at: datetime | None
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return invoice_state(self.stripe_status, self.attempt_count, self.amount_paid)


class RefundFacts(NamedTuple):
    """Money given back of one payment."""

    object_id: str
    livemode: bool
    stripe_payment_intent_id: str | None
    stripe_charge_id: str | None
    amount: int
    currency: str
    status: str
    reason: str | None
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return refund_state(self.status)


class SessionFacts(NamedTuple):
    """A Checkout session. `order_id` and `attempt` are what our metadata on it says."""

    object_id: str
    livemode: bool
    mode: str
    status: str
    payment_status: str | None
    stripe_subscription_id: str | None
    stripe_customer_id: str | None
    order_id: UUID | None
    attempt: int | None
    url: str | None
    recovery_url: str | None
    recovered_from: str | None
    expires_at: datetime | None

    @property
    def state(self) -> State:
        """How far it has come."""
        return session_state(self.status, self.payment_status)


class CustomerFacts(NamedTuple):
    """A Stripe customer."""

    object_id: str
    livemode: bool
    email: str | None
    name: str | None
    deleted: bool

    @property
    def state(self) -> State:
        """How far it has come."""
        return customer_state(deleted=self.deleted)


Facts = (
    SubscriptionFacts
    | InvoiceFacts
    | InvoicePaymentFacts
    | RefundFacts
    | SessionFacts
    | CustomerFacts
)
