"""/api/billing/customers: say who a customer is."""

from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.merging import (
    CustomerResponse,
    LinkUserRequest,
    MergeRequest,
    UndoMergeRequest,
)
from mpanel_billing.subscriptions import merging

routes = Endpoints("billing")

_ONE = "/api/billing/customers/{id}"


@routes.endpoint(
    "POST",
    f"{_ONE}/link-user",
    scope="billing:customers",
    refusals={
        NotFoundError: ("unknown_customer", "unknown_user"),
        ConflictError: ("account_has_customer", "has_account", "has_joined"),
    },
)
async def post_link_user(call: KeyedCall[IdPath, None, LinkUserRequest]) -> CustomerResponse:
    """Give a customer who has ordered without an account theirs in mPanel."""
    await merging.link_user(call.app[keys.POOL], _of(call), call.body.account_id)
    return CustomerResponse(customer_id=call.path.id)


@routes.endpoint(
    "POST",
    f"{_ONE}/merge",
    scope="billing:customers",
    refusals={
        NotFoundError: ("unknown_customer",),
        ConflictError: ("has_joined", "two_accounts"),
        InvalidRequestError: ("invalid_request",),
    },
)
async def post_merge(call: KeyedCall[IdPath, None, MergeRequest]) -> CustomerResponse:
    """Merge a customer into another of the same person; Stripe's customers stay apart."""
    into = call.body.into_customer_id
    await merging.merge_customers(call.app[keys.POOL], _of(call), into)
    return CustomerResponse(customer_id=into)


@routes.endpoint(
    "POST",
    f"{_ONE}/undo-merge",
    scope="billing:customers",
    body_optional=True,
    refusals={
        NotFoundError: ("not_merged", "unknown_customer"),
        ConflictError: ("has_joined", "too_late"),
    },
)
async def post_undo_merge(call: KeyedCall[IdPath, None, UndoMergeRequest]) -> CustomerResponse:
    """Take a merge back within a day."""
    await merging.undo_merge(call.app[keys.POOL], _of(call))
    return CustomerResponse(customer_id=call.path.id)


_Body = LinkUserRequest | MergeRequest | UndoMergeRequest


def _of(call: KeyedCall[IdPath, None, _Body]) -> merging.CustomerRequest:
    return merging.CustomerRequest(call.actor, call.path.id, call.body.named)
