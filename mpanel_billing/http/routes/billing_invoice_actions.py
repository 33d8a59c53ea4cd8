"""/api/billing/invoices: the lines of one, and what is done about it."""

from mpanel_billing.errors import ConflictError, NotFoundError, PaymentFailedError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery
from mpanel_billing.http.schemas.invoices import (
    InvoiceActionRequest,
    InvoiceChangeResponse,
    InvoiceDetailsResponse,
    MarkPaidRequest,
    PayRequest,
)
from mpanel_billing.subscriptions.invoice_actions import InvoiceRequest, Verb, act, get_details

routes = Endpoints("billing")

_ONE = "/api/billing/invoices/{id}"
_REFUSALS: Refusals = {
    NotFoundError: ("unknown_customer", "unknown_invoice"),
    ConflictError: ("change_in_progress", "idempotency_key_reused", "invoice_status"),
}
_DECLINED: Refusals = {PaymentFailedError: ("card_declined", "authentication_required")}


@routes.endpoint(
    "GET",
    f"{_ONE}/details",
    scope="billing:read",
    calls_stripe=True,
    refusals={NotFoundError: ("unknown_invoice",)},
)
async def get_one_with_lines(call: KeyedCall[IdPath, OwnerQuery]) -> InvoiceDetailsResponse:
    """Return one invoice with its lines, and with the attempts to collect it."""
    mirror = call.app[keys.MIRROR]
    return InvoiceDetailsResponse.of(await get_details(mirror, call.path.id, call.query.named))


@routes.endpoint(
    "POST",
    f"{_ONE}/finalize",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals=_REFUSALS,
)
async def post_finalize(
    call: KeyedCall[IdPath, None, InvoiceActionRequest],
) -> InvoiceChangeResponse:
    """Finalize a draft: Stripe then collects it; honours `Idempotency-Key`."""
    return await _act(call, "finalize_invoice")


@routes.endpoint(
    "POST",
    f"{_ONE}/pay",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={**_REFUSALS, **_DECLINED},
)
async def post_pay(call: KeyedCall[IdPath, None, PayRequest]) -> InvoiceChangeResponse:
    """Charge the customer for an open invoice now; honours `Idempotency-Key`."""
    return await _act(call, "pay_invoice", call.body.payment_method_id)


@routes.endpoint(
    "POST",
    f"{_ONE}/mark-paid",
    scope="billing:refund",
    idempotent=True,
    calls_stripe=True,
    refusals=_REFUSALS,
)
async def post_mark_paid(
    call: KeyedCall[IdPath, None, MarkPaidRequest],
) -> InvoiceChangeResponse:
    """Note that an invoice was paid outside of Stripe; honours `Idempotency-Key`."""
    return await _act(call, "mark_paid")


@routes.endpoint(
    "POST",
    f"{_ONE}/void",
    scope="billing:refund",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals=_REFUSALS,
)
async def post_void(
    call: KeyedCall[IdPath, None, InvoiceActionRequest],
) -> InvoiceChangeResponse:
    """Void an open invoice: it was never owed; honours `Idempotency-Key`."""
    return await _act(call, "void_invoice")


@routes.endpoint(
    "POST",
    f"{_ONE}/mark-uncollectible",
    scope="billing:refund",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals=_REFUSALS,
)
async def post_mark_uncollectible(
    call: KeyedCall[IdPath, None, InvoiceActionRequest],
) -> InvoiceChangeResponse:
    """Write an open invoice off: it is owed, and not collected; honours `Idempotency-Key`."""
    return await _act(call, "mark_uncollectible")


@routes.endpoint(
    "POST",
    f"{_ONE}/delete",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals=_REFUSALS,
)
async def post_delete(
    call: KeyedCall[IdPath, None, InvoiceActionRequest],
) -> InvoiceChangeResponse:
    """Delete a draft: nobody is billed by it; honours `Idempotency-Key`."""
    return await _act(call, "delete_invoice")


async def _act(
    call: KeyedCall[IdPath, None, InvoiceActionRequest]
    | KeyedCall[IdPath, None, PayRequest]
    | KeyedCall[IdPath, None, MarkPaidRequest],
    verb: Verb,
    payment_method: str | None = None,
) -> InvoiceChangeResponse:
    request = InvoiceRequest(
        call.actor,
        verb,
        call.path.id,
        call.body.named,
        payment_method=payment_method,
        reason=call.body.reason,
        key=call.idempotency_key,
    )
    return InvoiceChangeResponse.of(await act(call.app[keys.MIRROR], request))
