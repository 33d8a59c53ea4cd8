"""`/v1/account` and `/v1/accounts`."""

from stripe.params import (
    AccountRetrieveCurrentParams,
    AccountRetrieveParams,
)

from stripe_sandbox import shapes
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import ApiError
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.world import ACCOUNT_COUNTRY, ACCOUNT_ID


def fetch_account(_: Call) -> Document:
    """Return the account, which is the same for all keys."""
    account = {
        "id": ACCOUNT_ID,
        "object": "account",
        "charges_enabled": True,
        "country": ACCOUNT_COUNTRY,
        "created": 0,
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "type": "standard",
    }
    return shapes.complete(account)


def fetch_account_by_id(call: Call) -> Document:
    """Return the account by its id; there are no connected accounts."""
    if call.id != ACCOUNT_ID:
        message = (
            f"The provided key does not have access to account '{call.id}' (or that account does "
            "not exist). Application access may have been revoked."
        )
        raise ApiError(403, message, code="account_invalid")
    return fetch_account(call)


OPERATIONS = (
    Operation("GET", "/account", AccountRetrieveCurrentParams, fetch_account),
    Operation("GET", "/accounts/{id}", AccountRetrieveParams, fetch_account_by_id),
)
