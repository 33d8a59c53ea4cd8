"""How this service meets PostgreSQL: connections and migrations."""
