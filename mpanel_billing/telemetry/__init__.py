"""Logs, metrics and traces of a process, and the metrics that are read from the database."""
