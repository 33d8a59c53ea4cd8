"""A customer's life by the client that openapi-python-client makes of /openapi.json.

Run as `python life.py BASE_URL KEY`, beside the generated package `billing_client`. It prints the
names of its steps. Then each line that it reads is JSON: the name of a step, and what the step is
given. It takes the step, and prints what that hands on. tests/api_clients/script.py has the order.
"""

import json
import sys

import dunning
import invoices
import people
import purchase
import subscriptions
from billing_client import AuthenticatedClient
from customer import Customer

STEPS = {
    step.__name__: step
    for module in (purchase, people, subscriptions, invoices, dunning)
    for step in module.STEPS
}


def main(base_url: str, key: str) -> None:
    customer = Customer(AuthenticatedClient(base_url=base_url, token=key))
    say(sorted(STEPS))
    for line in sys.stdin:
        name, given = json.loads(line)
        say(STEPS[name](customer, *given))


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
