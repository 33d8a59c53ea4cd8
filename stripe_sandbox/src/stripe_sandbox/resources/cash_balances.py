"""`/v1/customers/{customer}/cash_balance`, its transactions, and test transfers."""

from stripe.params import (
    CustomerCashBalanceRetrieveParams,
    CustomerCashBalanceTransactionListParams,
    CustomerCashBalanceTransactionRetrieveParams,
    CustomerCashBalanceUpdateParams,
)
from stripe.params.test_helpers import CustomerFundCashBalanceParams

from stripe_sandbox.billing.cash_balance import KIND, balance_of, fund, set_mode
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid, no_such
from stripe_sandbox.operations import Call, Listing, Operation, listing
from stripe_sandbox.supported import supports


def fetch(call: Call) -> Document:
    """Return the cash balance of a customer."""
    return balance_of(call.world, call.world.view("customer", call.id)["id"])


def update(call: Call) -> Document:
    """Set how the transfers of a customer are reconciled."""
    call.world.view("customer", call.id)
    mode = call.get("settings", {}).get("reconciliation_mode")
    if mode:
        set_mode(call.world, call.id, mode)
    return balance_of(call.world, call.id)


def list_transactions(call: Call) -> Document | Listing:
    """List the transactions of a customer's cash balance, newest first."""
    call.world.view("customer", call.id)
    call.params["customer"] = call.id
    return listing(KIND)(call)


def fetch_transaction(call: Call) -> Document:
    """Return a transaction of a customer's cash balance."""
    transaction = call.world.find(KIND, call.ids["transaction"], "transaction")
    if transaction["customer"] != call.id:
        raise no_such(KIND, transaction["id"], "transaction", in_path=True)
    return transaction


def receive_transfer(call: Call) -> Document:
    """Let a bank transfer of a customer arrive."""
    customer, amount = call.world.view("customer", call.id), call.params["amount"]
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise invalid(message, param="amount", code="parameter_invalid_integer")
    return fund(call.world, customer, amount, call.params["currency"], call.get("reference"))


PATH = "/customers/{id}/cash_balance"

OPERATIONS = (
    Operation("GET", PATH, CustomerCashBalanceRetrieveParams, fetch),
    Operation(
        "POST",
        PATH,
        CustomerCashBalanceUpdateParams,
        update,
        supports(settings=supports("reconciliation_mode")),
    ),
    Operation(
        "GET",
        f"{PATH}_transactions",
        CustomerCashBalanceTransactionListParams,
        list_transactions,
    ),
    Operation(
        "GET",
        f"{PATH}_transactions/{{transaction}}",
        CustomerCashBalanceTransactionRetrieveParams,
        fetch_transaction,
    ),
    Operation(
        "POST",
        "/test_helpers/customers/{id}/fund_cash_balance",
        CustomerFundCashBalanceParams,
        receive_transfer,
        supports("amount", "currency", "reference"),
    ),
)
