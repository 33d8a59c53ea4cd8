"""Stripe's objects as tests need them: small, made by us, in both generations of shapes."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

BASIL = "2026-10-28.endive"
CLASSIC = "2024-06-20"

_numbers = count(1)


def subscription(
    id_: str = "sub_1",
    *,
    status: str = "active",
    customer: str = "cus_1",
    price: str = "price_1",
    amount: int = 799,
    quantity: int = 1,
    start: int = 1_790_000_000,
    end: int = 1_792_592_000,
    classic: bool = False,
    items: list[dict[str, Any]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a subscription; `classic` puts its period where it was before basil."""
    period = {"current_period_start": start, "current_period_end": end}
    item = {
        "id": f"si_{id_.removeprefix('sub_')}",
        "object": "subscription_item",
        "quantity": quantity,
        "price": {
            "id": price,
            "object": "price",
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": "month", "interval_count": 1},
        },
        **({} if classic else period),
    }
    return {
        "id": id_,
        "object": "subscription",
        "livemode": False,
        "status": status,
        "customer": customer,
        "currency": "usd",
        "created": start,
        "metadata": {},
        "cancel_at_period_end": False,
        "cancel_at": None,
        "canceled_at": None,
        "ended_at": None,
        "trial_end": None,
        "pause_collection": None,
        "items": {"object": "list", "has_more": False, "data": items or [item]},
        **(period if classic else {}),
        **more,
    }


def invoice(
    id_: str = "in_1",
    *,
    subscription: str | None = "sub_1",
    customer: str = "cus_1",
    status: str = "paid",
    total: int = 799,
    paid: int | None = None,
    created: int = 1_790_000_000,
    classic: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """Return an invoice; `classic` names its subscription at the top as before basil."""
    amount_paid = (total if status == "paid" else 0) if paid is None else paid
    line = {
        "id": f"il_{id_}",
        "object": "line_item",
        "period": {"start": created, "end": created + 2_592_000},
    }
    place: dict[str, Any] = (
        {"subscription": subscription}
        if classic
        else {
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": subscription, "metadata": {}},
            }
        }
    )
    return {
        "id": id_,
        "object": "invoice",
        "livemode": False,
        "status": status,
        "customer": customer,
        "currency": "usd",
        "subtotal": total,
        "total": total,
        "amount_due": total,
        "amount_paid": amount_paid,
        "amount_remaining": total - amount_paid,
        "attempt_count": 1 if status == "paid" and total else 0,
        "next_payment_attempt": None,
        "billing_reason": "subscription_create",
        "number": f"TEST-{id_}",
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{id_}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{id_}/pdf",
        "created": created,
        "due_date": None,
        "period_start": created,
        "period_end": created,
        "status_transitions": {"paid_at": created if status == "paid" else None},
        "lines": {"object": "list", "has_more": False, "data": [line]},
        **place,
        **more,
    }


def invoice_payment(
    id_: str = "inpay_1",
    *,
    invoice: str = "in_1",
    payment_intent: str = "pi_1",
    status: str = "paid",
    amount: int = 799,
    created: int = 1_790_000_000,
) -> dict[str, Any]:
    """Return the payment of an invoice."""
    return {
        "id": id_,
        "object": "invoice_payment",
        "livemode": False,
        "invoice": invoice,
        "payment": {"type": "payment_intent", "payment_intent": payment_intent},
        "amount_paid": amount,
        "currency": "usd",
        "status": status,
        "created": created,
    }


def refund(
    id_: str = "re_1",
    *,
    payment_intent: str = "pi_1",
    amount: int = 799,
    status: str = "succeeded",
    created: int = 1_790_000_000,
) -> dict[str, Any]:
    """Return a refund of a payment."""
    return {
        "id": id_,
        "object": "refund",
        "livemode": False,
        "payment_intent": payment_intent,
        "charge": None,
        "amount": amount,
        "currency": "usd",
        "status": status,
        "reason": None,
        "created": created,
    }


def session(
    id_: str = "cs_test_1",
    *,
    status: str = "complete",
    payment_status: str = "paid",
    subscription: str | None = "sub_1",
    customer: str = "cus_1",
    order: str | None = None,
    attempt: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """Return a Checkout session of an order of ours."""
    return {
        "id": id_,
        "object": "checkout.session",
        "livemode": False,
        "mode": "subscription",
        "status": status,
        "payment_status": payment_status,
        "subscription": subscription,
        "customer": customer,
        "client_reference_id": order,
        "metadata": {"subscriptionId": order, "checkoutAttempt": str(attempt)} if order else {},
        "url": None,
        "expires_at": 1_790_086_400,
        **more,
    }


def event(
    type_: str,
    stripe_object: Mapping[str, Any],
    *,
    created: int = 1_790_000_000,
    id_: str | None = None,
    previous: Mapping[str, Any] | None = None,
    api_version: str = BASIL,
    **more: Any,
) -> dict[str, Any]:
    """Return an event about an object."""
    return {
        "id": id_ or f"evt_{next(_numbers):06}",
        "object": "event",
        "type": type_,
        "api_version": api_version,
        "created": created,
        "livemode": False,
        "data": {
            "object": dict(stripe_object),
            **({"previous_attributes": dict(previous)} if previous is not None else {}),
        },
        **more,
    }


def sign(body: bytes, secret: str, *, at: float | None = None) -> str:
    """Return the Stripe-Signature header for a body."""
    timestamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={digest.hexdigest()}"


def encoded(payload: object) -> bytes:
    """Return JSON as Stripe sends it."""
    return json.dumps(payload, indent=2).encode()


def credit_note(id_: str, invoice: str, **more: Any) -> dict[str, Any]:
    """A credit note of an invoice that was paid: to the balance, unless it says otherwise."""
    return {
        "id": id_,
        "object": "credit_note",
        "livemode": False,
        "currency": "usd",
        "customer": "cus_1",
        "invoice": invoice,
        "status": "issued",
        "total": 100,
        "pre_payment_amount": 0,
        "post_payment_amount": 100,
        "refunds": [],
        "created": 1_790_000_000,
        **more,
    }


def dispute(id_: str, payment_intent: str, **more: Any) -> dict[str, Any]:
    """A chargeback of a payment."""
    return {
        "id": id_,
        "object": "dispute",
        "livemode": False,
        "amount": 799,
        "balance_transactions": [{"fee": 1500, "currency": "usd"}],
        "charge": "ch_1",
        "currency": "usd",
        "evidence_details": {"due_by": 1_790_086_400, "submission_count": 0},
        "is_charge_refundable": False,
        "payment_intent": payment_intent,
        "reason": "fraudulent",
        "status": "needs_response",
        "created": 1_790_000_005,
        **more,
    }


def tax(amount: int, taxable: int | None, **more: Any) -> dict[str, Any]:
    """A tax as Stripe sends it now."""
    return {
        "amount": amount,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": "txr_1"},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
        **more,
    }
