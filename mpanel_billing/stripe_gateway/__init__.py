"""The only package that imports the Stripe SDK."""
