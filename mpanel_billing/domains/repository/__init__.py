"""Who has a domain name, and its further years, in PostgreSQL."""
