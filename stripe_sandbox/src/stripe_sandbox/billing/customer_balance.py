"""The balance of a customer: a credit is negative, and every change of it is a transaction."""

from typing import Any

from stripe_sandbox.documents import Document
from stripe_sandbox.world import World

KIND = "customer_balance_transaction"


def change_balance(
    world: World,
    customer_id: str,
    amount: int,
    currency: str,
    kind: str,
    **details: Any,
) -> Document:
    """Add an amount (minor units, negative for a credit) to a customer's balance.

    Stores the transaction of the given kind, with links and a description as details, and sends
    `customer.updated`.
    """
    customer = world.find("customer", customer_id)
    ending = (customer["balance"] or 0) + amount
    transaction = add_transaction(world, customer, amount, currency, kind, **details)
    customer["balance"] = ending
    customer["currency"] = customer["currency"] or currency
    world.change(customer)
    return transaction


def add_transaction(
    world: World,
    customer: Document,
    amount: int,
    currency: str,
    kind: str,
    **details: Any,
) -> Document:
    """Store the transaction of a change of the balance; the caller changes the customer."""
    return world.add(
        {
            "id": world.ids.next("cbtxn"),
            "object": KIND,
            "amount": amount,
            "created": world.time_of(customer),
            "currency": currency,
            "customer": customer["id"],
            "ending_balance": (customer["balance"] or 0) + amount,
            "livemode": False,
            "metadata": {},
            "type": kind,
            **details,
        }
    )
