"""Triggers for the worker, and how often and how fast work is tried.

A job carries an id only; attempts, errors and due times are in our own rows. So are the leases,
each in the room of its row, because they end differently: a provisioning run's is prolonged and
fenced by a token, a reconcile's is renewed with its progress, a refetch's only saves a second call
to Stripe, and a change's lasts as long as the calls that one request can make.
"""
