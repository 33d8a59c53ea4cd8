"""Stripe Billing: periods, invoices, discounts, payments, dunning."""
