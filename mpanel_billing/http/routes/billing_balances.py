"""/api/billing/balance: what Stripe applies to a customer's next invoice, seen and changed."""

from mpanel_billing.access.ceilings import RefundCeilingError
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.schemas.balances import (
    BalanceChangeRequest,
    BalanceChangeResponse,
    BalanceHistoryResponse,
    BalancePreviewResponse,
)
from mpanel_billing.http.schemas.base import OwnerQuery
from mpanel_billing.subscriptions.balances import (
    BalanceRequest,
    change_balance,
    get_history,
    preview_balance,
)

routes = Endpoints("billing")

_PREVIEW: Refusals = {
    NotFoundError: ("no_stripe_customer", "unknown_customer", "unknown_subscription"),
    ConflictError: ("balance_too_small",),
    InvalidRequestError: ("invalid_request",),
}


@routes.endpoint(
    "GET",
    "/api/billing/balance",
    scope="billing:read",
    calls_stripe=True,
    refusals={NotFoundError: ("unknown_customer",), InvalidRequestError: ("invalid_request",)},
)
async def get_all(call: KeyedCall[None, OwnerQuery]) -> BalanceHistoryResponse:
    """Return a customer's balances at Stripe, and what has changed them."""
    history = await get_history(call.app[keys.MIRROR], call.query.require_named())
    return BalanceHistoryResponse.of(history)


@routes.endpoint(
    "POST",
    "/api/billing/preview-balance",
    scope="billing:read",
    calls_stripe=True,
    refusals=_PREVIEW,
)
async def post_preview(
    call: KeyedCall[None, None, BalanceChangeRequest],
) -> BalancePreviewResponse:
    """Return what adding or taking off credit would make of a balance; changes nothing."""
    preview = await preview_balance(call.app[keys.MIRROR], _request(call))
    return BalancePreviewResponse.of(preview)


@routes.endpoint(
    "POST",
    "/api/billing/balance",
    scope="billing:refund",
    idempotent=True,
    calls_stripe=True,
    refusals={
        **_PREVIEW,
        ConflictError: ("balance_too_small", "change_in_progress", "idempotency_key_reused"),
        RefundCeilingError: (),
    },
)
async def post_change(call: KeyedCall[None, None, BalanceChangeRequest]) -> BalanceChangeResponse:
    """Add credit to a customer's balance, or take it off; honours `Idempotency-Key`."""
    return BalanceChangeResponse.of(await change_balance(call.app[keys.MIRROR], _request(call)))


def _request(call: KeyedCall[None, None, BalanceChangeRequest]) -> BalanceRequest:
    body = call.body
    return BalanceRequest(
        call.actor, body.payer, body.move, body.amount, body.reason, call.idempotency_key
    )
