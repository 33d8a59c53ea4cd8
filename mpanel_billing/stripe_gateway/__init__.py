"""The only place that knows the Stripe SDK (design: one gateway around its async client)."""
