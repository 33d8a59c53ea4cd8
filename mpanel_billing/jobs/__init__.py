"""Triggers for the worker, retry delays and rate limits.

A job carries only an id; attempts, errors and due times are in our own rows. So are the leases.
Each is in the package of its row, because they work differently: a provisioning run prolongs its
lease and is fenced by a token, a reconcile renews its lease with its progress, a refetch's lease
only saves a second call to Stripe, and a change's lasts as long as the calls of one request can.
"""
