"""Compare the mirror with Stripe and the accounts with our records, and repair what differs."""
