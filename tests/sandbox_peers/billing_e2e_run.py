"""python billing_e2e_run.py PORT: runs billing-e2e's own scenarios on the sandbox.

It has no setting for Stripe's address, so its client is given the sandbox's.
"""

import functools
import sys

import stripe

URL = f"http://127.0.0.1:{sys.argv[1]}"
stripe.StripeClient = functools.partial(  # type: ignore[misc,assignment]
    stripe.StripeClient, base_addresses={"api": URL}
)

from billing_e2e import cli  # noqa: E402 - after its client has been given the address

cli.main(["run", "--junit", "report.xml"])
