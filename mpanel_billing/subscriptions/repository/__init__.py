"""Customers' subscriptions and invoices, and the changes requested of Stripe, in PostgreSQL."""

from mpanel_billing.subscriptions.repository import (
    changes,
    customers,
    disputes,
    invoices,
    pauses,
    price_changes,
    subscriptions,
    tax_notices,
)

__all__ = [
    "changes",
    "customers",
    "disputes",
    "invoices",
    "pauses",
    "price_changes",
    "subscriptions",
    "tax_notices",
]
