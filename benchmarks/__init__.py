"""Benchmarks: `make bench` runs those of the webhooks, `python -m benchmarks.NAME` another one."""
