"""PostgreSQL: connections, named queries, migrations."""
