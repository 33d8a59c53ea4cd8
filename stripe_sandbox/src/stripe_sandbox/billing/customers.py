"""Customers, as the API and the hosted page make them."""

from stripe_sandbox.documents import Document
from stripe_sandbox.world import World


def make_customer(world: World, values: Document, test_clock: str | None = None) -> Document:
    """Keep a new customer with the given fields and announce it."""
    customer = world.add(
        {
            "id": world.ids.next("cus"),
            "object": "customer",
            "balance": 0,
            "created": world.now(test_clock),
            "default_source": None,
            "delinquent": False,
            "invoice_prefix": world.ids.letters(8).upper(),
            "invoice_settings": {},
            "livemode": False,
            "metadata": {},
            "next_invoice_sequence": 1,
            "preferred_locales": [],
            "tax_exempt": "none",
            "test_clock": test_clock,
            **values,
        }
    )
    world.announce("customer.created", customer)
    return customer
