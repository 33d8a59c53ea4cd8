"""Orders, their Checkout sessions, and who has had what is limited, in PostgreSQL."""
