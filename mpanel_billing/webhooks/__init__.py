"""Stripe's events: the signature, the inbox, the two paths of an event, the webhook endpoint."""
