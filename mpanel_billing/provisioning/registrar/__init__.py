"""Registers domains: a row of `billing_domains` with a driver is brought to what was paid."""
