"""Provisioning in PostgreSQL: runs, their leases, and what operators do."""
