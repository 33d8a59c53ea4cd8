"""Stripe's webhooks: is it Stripe (signature), is it an event (envelope), what does it change."""
