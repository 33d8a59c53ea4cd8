"""API keys: who holds which key, what it may do, and the audit log of what was done."""
