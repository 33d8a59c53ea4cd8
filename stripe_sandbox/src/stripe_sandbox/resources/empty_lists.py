"""Lists of objects that the sandbox has none of: they are empty, as on a new account."""

from stripe.params import AccountListParams, ApplicationFeeListParams, TransferListParams
from stripe.params.identity import VerificationReportListParams, VerificationSessionListParams
from stripe.params.issuing import (
    AuthorizationListParams,
    CardholderListParams,
    CardListParams,
    DisputeListParams,
    TransactionListParams,
)

from stripe_sandbox.operations import Call, Listing, Operation

LISTS: dict[str, type] = {
    "/accounts": AccountListParams,
    "/application_fees": ApplicationFeeListParams,
    "/identity/verification_reports": VerificationReportListParams,
    "/identity/verification_sessions": VerificationSessionListParams,
    "/issuing/authorizations": AuthorizationListParams,
    "/issuing/cardholders": CardholderListParams,
    "/issuing/cards": CardListParams,
    "/issuing/disputes": DisputeListParams,
    "/issuing/transactions": TransactionListParams,
    "/transfers": TransferListParams,
}


def list_nothing(_: Call) -> Listing:
    """Return an empty list; every filter holds for it."""
    return Listing([])


OPERATIONS = tuple(
    Operation("GET", path, params, list_nothing, is_empty=True) for path, params in LISTS.items()
)
