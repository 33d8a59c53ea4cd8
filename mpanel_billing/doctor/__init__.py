"""Is everything there that the service needs: database, schema, Stripe, catalogue, endpoint."""
