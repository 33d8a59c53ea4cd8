"""What monitoring is told: the figures of the database, and all meters in Prometheus' format."""
