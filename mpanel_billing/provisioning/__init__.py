"""Bring tenants and hosting services to the state that their subscription entitles them to."""
