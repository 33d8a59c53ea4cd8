"""Personal data: what is held about a person, and its erasure (docs/privacy.md)."""
