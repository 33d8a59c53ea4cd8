"""The billing and Stripe backend of mPanel."""

__version__ = "0.1.0"
