"""The mirror of Stripe: what its objects say (facts), which snapshot is newer, and our rows."""
