"""Lists of objects that the sandbox has none of: they are empty, as on a new account."""

from stripe.params import (
    AccountListParams,
    TransferListParams,
)

from stripe_sandbox.operations import Call, Listing, Operation

LISTS: dict[str, type] = {
    "/accounts": AccountListParams,
    "/transfers": TransferListParams,
}


def list_nothing(_: Call) -> Listing:
    """Return an empty list; every filter holds for it."""
    return Listing([])


OPERATIONS = tuple(
    Operation("GET", path, params, list_nothing, is_empty=True) for path, params in LISTS.items()
)
