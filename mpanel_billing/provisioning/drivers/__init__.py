"""Drivers: how the accounts of each product type are created and changed."""
