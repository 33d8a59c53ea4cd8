"""Pruning of old rows: event payloads, events, logs, idempotency keys."""
