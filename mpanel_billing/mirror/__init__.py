"""The mirror of Stripe: facts of its objects, which snapshot is newer, and our rows."""
