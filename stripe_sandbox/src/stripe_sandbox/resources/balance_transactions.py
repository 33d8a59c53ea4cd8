"""`/v1/balance_transactions` and `/v1/balance`."""

from stripe.params import (
    BalanceRetrieveParams,
    BalanceTransactionListParams,
    BalanceTransactionRetrieveParams,
)

from stripe_sandbox import shapes
from stripe_sandbox.billing.balance import KIND, aged
from stripe_sandbox.documents import Document, ReadOnly
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
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for transaction in call.world.store.all(KIND):
        part, currency = sums[aged(call.world, transaction)["status"]], transaction["currency"]
        part[currency] = part.get(currency, 0) + transaction["net"]
    balance: Document = {"object": "balance", "livemode": False}
    return shapes.complete(balance | {name: _amounts(part) for name, part in sums.items()})


def _amounts(part: ReadOnly) -> list[Document]:
    amounts = part or {"usd": 0}
    return [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in amounts.items()
    ]


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
