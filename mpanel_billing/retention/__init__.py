"""What grows old and is let go: payloads of events, events, logs, keys."""
