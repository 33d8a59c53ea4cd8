"""Customers' subscriptions and invoices, and the changes requested of Stripe, in PostgreSQL."""

from mpanel_billing.subscriptions.repository import (
    changes,
    customers,
    disputes,
    invoices,
    pauses,
    subscriptions,
)

__all__ = ["changes", "customers", "disputes", "invoices", "pauses", "subscriptions"]
