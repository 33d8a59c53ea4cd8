"""Usage that is billed: taken, and sent to Stripe."""
