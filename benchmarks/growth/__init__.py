"""What PostgreSQL allows beyond one server: partitions, sharding, a read replica."""
