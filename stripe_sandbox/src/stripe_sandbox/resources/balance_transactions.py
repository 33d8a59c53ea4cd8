"""`/v1/balance_transactions` and `/v1/balance`."""

from stripe.params import (
    BalanceRetrieveParams,
    BalanceTransactionListParams,
    BalanceTransactionRetrieveParams,
)

from stripe_sandbox.billing.balance import KIND, aged, balance_now
from stripe_sandbox.documents import Document
from stripe_sandbox.operations import Call, Listing, Operation, listing
from stripe_sandbox.supported import supports


def list_transactions(call: Call) -> Document | Listing:
    """List the movements of the account's balance."""
    found = listing(KIND)(call)
    if not isinstance(found, Listing):
        return found
    return Listing([aged(call.world, transaction) for transaction in found.documents])


def retrieve(call: Call) -> Document:
    """Return one movement."""
    return aged(call.world, call.world.find(KIND, call.id))


def fetch_balance(call: Call) -> Document:
    """Return the balance: available after the fees, and what is still pending."""
    return balance_now(call.world)


OPERATIONS = (
    Operation("GET", "/balance", BalanceRetrieveParams, fetch_balance),
    Operation(
        "GET",
        "/balance_transactions",
        BalanceTransactionListParams,
        list_transactions,
        supports("created", "currency", "source", "type"),
    ),
    Operation("GET", "/balance_transactions/{id}", BalanceTransactionRetrieveParams, retrieve),
)
