"""What Stripe Billing does: periods, invoices, discounts, payments, dunning."""
