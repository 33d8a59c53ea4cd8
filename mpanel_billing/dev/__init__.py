"""The whole service on one machine, for people who work on it; nothing here runs in production."""
