"""Invoices with their payments, refunds and credit notes, as our rows have them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

import asyncpg


@dataclass(frozen=True, slots=True)
class Invoice:
    """A Stripe invoice; amounts are in minor units of `currency`, times are UTC.

    `total_tax` is what of `total` is taxes. `amount_invoiced` is its total, less what credit notes
    took off before it was paid.
    `amount_refunded` includes refunds that are still pending, `amount_credited` is what credit
    notes gave back without one, `amount_disputed` what banks have taken.
    """

    id: UUID
    customer_id: UUID | None
    subscription_id: UUID | None
    stripe_invoice_id: str
    stripe_number: str | None
    stripe_status: str
    billing_reason: str | None
    currency: str
    total: int
    total_tax: int
    amount_invoiced: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    amount_refunded: int
    amount_credited: int
    amount_disputed: int
    period_start: datetime | None
    period_end: datetime | None
    stripe_created: datetime
    paid_at: datetime | None
    next_payment_attempt: datetime | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `list_invoices`."""
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def kept(self) -> int:
        """What of it was neither given back nor taken back by a bank."""
        returned = self.amount_refunded + self.amount_credited + self.amount_disputed
        return self.amount_invoiced - returned


@dataclass(frozen=True, slots=True)
class Tax:
    """The tax at one rate (percent), on `net`, in minor units; None: the rate is not known yet.

    `reason` is Stripe's.
    """

    name: str | None
    country: str | None
    jurisdiction: str | None
    rate: Decimal | None
    inclusive: bool
    reason: str | None
    net: int
    tax: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A charge for an invoice, in minor units; `reason` says in words why it was declined."""

    at: datetime
    amount: int
    currency: str
    status: str
    reason: str | None
    card_brand: str | None
    card_last4: str | None


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment of an invoice, and how much of it has been refunded; minor units.

    `is_refundable`: no dispute of it rules a refund out.
    """

    payment_intent_id: str
    amount_paid: int
    amount_refunded: int
    is_refundable: bool = True

    @property
    def left(self) -> int:
        """How much can still be refunded."""
        return self.amount_paid - self.amount_refunded


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund in minor units of `currency`; `status` and `reason` are Stripe's."""

    id: str
    amount: int
    currency: str
    status: str
    reason: str | None
    created: datetime


@dataclass(frozen=True, slots=True)
class CreditNote:
    """A credit note in minor units of `currency`; `status` and `reason` are Stripe's.

    `amount` is the sum of the other amounts.
    """

    id: str
    number: str | None
    status: str
    amount: int
    amount_before_payment: int
    amount_refunded: int
    amount_to_balance: int
    amount_out_of_band: int
    currency: str
    reason: str | None
    memo: str | None
    pdf: str | None
    created: datetime
