"""`/v1/customers/{customer}/balance_transactions`."""

from stripe.params import (
    CustomerBalanceTransactionCreateParams,
    CustomerBalanceTransactionListParams,
    CustomerBalanceTransactionRetrieveParams,
    CustomerBalanceTransactionUpdateParams,
)

from stripe_sandbox.billing.customer_balance import KIND, change_balance
from stripe_sandbox.documents import Document, merge_metadata
from stripe_sandbox.errors import invalid, no_such
from stripe_sandbox.money import check_currency
from stripe_sandbox.operations import Call, Listing, Operation, listing
from stripe_sandbox.supported import supports


def create(call: Call) -> Document:
    """Add a credit (negative) or a debit to a customer's balance."""
    customer = call.world.find("customer", call.id)
    currency = call.params["currency"]
    check_currency(currency, "currency")
    if customer["currency"] not in {None, currency} and customer["balance"]:
        message = f"The customer's balance has the currency {customer['currency']}."
        raise invalid(message, param="currency")
    return change_balance(
        call.world,
        call.id,
        call.params["amount"],
        currency,
        "adjustment",
        description=call.get("description"),
        metadata=call.get("metadata", {}),
    )


def retrieve(call: Call) -> Document:
    """Return a transaction of the customer."""
    transaction = call.world.find(KIND, call.ids["transaction"], "transaction")
    if transaction["customer"] != call.id:
        raise no_such(KIND, transaction["id"], "transaction", in_path=True)
    return transaction


def update(call: Call) -> Document:
    """Update a transaction's description and metadata."""
    transaction = retrieve(call)
    transaction |= call.pick("description")
    if "metadata" in call.params:
        given = call.params["metadata"]
        transaction["metadata"] = merge_metadata(transaction["metadata"], given)
    return call.world.save(transaction)


def list_transactions(call: Call) -> Document | Listing:
    """List the transactions of the customer, newest first."""
    call.world.find("customer", call.id)
    call.params["customer"] = call.id
    return listing(KIND)(call)


PATH = "/customers/{id}/balance_transactions"
ONE = f"{PATH}/{{transaction}}"
NAMED = supports("description", "metadata")

OPERATIONS = (
    Operation(
        "POST",
        PATH,
        CustomerBalanceTransactionCreateParams,
        create,
        supports("amount", "currency", base=NAMED),
    ),
    Operation(
        "GET",
        PATH,
        CustomerBalanceTransactionListParams,
        list_transactions,
        supports("created", "invoice"),
    ),
    Operation("GET", ONE, CustomerBalanceTransactionRetrieveParams, retrieve),
    Operation("POST", ONE, CustomerBalanceTransactionUpdateParams, update, NAMED),
)
