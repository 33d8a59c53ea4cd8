"""Stripe compared with the mirror, and the mirror with the accounts; what differs is repaired."""
