"""/api/billing/subscriptions: what is charged once, with the next invoice."""

from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import ChargePath, IdPath
from mpanel_billing.http.schemas.base import OwnerQuery, OwnerRequest
from mpanel_billing.http.schemas.manual_invoices import (
    UpcomingInvoiceResponse,
    UpcomingInvoiceSchema,
)
from mpanel_billing.http.schemas.one_off_charges import (
    ChargeRequest,
    OneOffChargeResponse,
    OneOffChargeSchema,
    OneOffChargesResponse,
    PreviewChargeRequest,
    WithdrawChargeRequest,
    WithdrawnChargeResponse,
)
from mpanel_billing.subscriptions import one_off_charges
from mpanel_billing.subscriptions.lifecycle import ChangeRequest

routes = Endpoints("billing")

_ONE = "/api/billing/subscriptions/{id}"
_UNKNOWN: Refusals = {NotFoundError: ("unknown_customer", "unknown_subscription")}
_NOT_CHARGED = ("not_billed_again", "not_paid", "subscription_ended")
_AT_ONCE = ("change_in_progress", "idempotency_key_reused")


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-charge",
    scope="billing:read",
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        ConflictError: _NOT_CHARGED,
        InvalidRequestError: ("invalid_request",),
    },
)
async def post_preview(
    call: KeyedCall[IdPath, None, PreviewChargeRequest],
) -> UpcomingInvoiceResponse:
    """Return the next invoice as it would be with a one-off charge; changes nothing."""
    mirror = call.app[keys.MIRROR]
    found = await one_off_charges.preview_charge(mirror, _request(call), call.body.line)
    return UpcomingInvoiceResponse(upcoming_invoice=UpcomingInvoiceSchema.of(found))


@routes.endpoint(
    "POST",
    f"{_ONE}/charges",
    scope="billing:change",
    idempotent=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        ConflictError: (*_NOT_CHARGED, *_AT_ONCE, "charge_withdrawn"),
        InvalidRequestError: ("invalid_request",),
    },
)
async def post_charge(call: KeyedCall[IdPath, None, ChargeRequest]) -> OneOffChargeResponse:
    """Charge something once, with the next invoice; honours `Idempotency-Key`."""
    mirror, body = call.app[keys.MIRROR], call.body
    made = await one_off_charges.add_charge(mirror, _request(call), body.line, reason=body.reason)
    return OneOffChargeResponse(charge=OneOffChargeSchema.of(made))


@routes.endpoint(
    "GET", f"{_ONE}/charges", scope="billing:read", calls_stripe=True, refusals=_UNKNOWN
)
async def get_charges(call: KeyedCall[IdPath, OwnerQuery]) -> OneOffChargesResponse:
    """Return the one-off charges of a subscription, billed or still to be billed."""
    found = await one_off_charges.list_charges(
        call.app[keys.MIRROR], call.path.id, call.query.named
    )
    return OneOffChargesResponse.of(found)


@routes.endpoint(
    "POST",
    f"{_ONE}/charges/{{charge_id}}/withdraw",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={
        NotFoundError: ("unknown_charge", "unknown_customer", "unknown_subscription"),
        ConflictError: (*_AT_ONCE, "charge_billed"),
    },
)
async def post_withdraw(
    call: KeyedCall[ChargePath, None, WithdrawChargeRequest],
) -> WithdrawnChargeResponse:
    """Take a one-off charge off the next invoice; honours `Idempotency-Key`."""
    request = ChangeRequest(call.actor, call.path.id, call.body.named, call.idempotency_key)
    changed = await one_off_charges.withdraw_charge(
        call.app[keys.MIRROR], request, call.path.charge_id, reason=call.body.reason
    )
    return WithdrawnChargeResponse(changed=changed)


def _request(call: KeyedCall[IdPath, None, OwnerRequest]) -> ChangeRequest:
    return ChangeRequest(call.actor, call.path.id, call.body.named, call.idempotency_key)
