"""The answers of checkout, as clients read them."""

from datetime import datetime
from typing import Any

from mpanel_billing.checkout.repository import OrderState, TenantState
from mpanel_billing.checkout.service import PaymentPage

Answer = dict[str, Any]

_PROVISIONING = {
    "provisional": "awaiting_payment",
    "pending": "in_progress",
    "active": "ready",
    "suspended": "suspended",
    "cancelled": "ended",
    "expired": "not_ordered",
}
"""What the state of a subscription means for what it was bought for."""


_SERVICE_STATES = {"absent": "in_progress"}


def payment_page_answer(page: PaymentPage) -> Answer:
    """Tell the browser where to pay."""
    return {
        "success": True,
        "url": page.url,
        "sessionId": page.session_id,
        "subscriptionId": str(page.subscription_id),
    }


def progress_answer(state: OrderState, session_id: str, login_url: str) -> Answer:
    """Tell the success page what became of the order; nothing that others must not know.

    Whoever has the session's id may ask, so there is no name, address or e-mail in it.
    """
    return {
        "success": True,
        "sessionId": session_id,
        "status": state.status,
        "session": {"status": state.session_status, "paymentStatus": state.payment_status},
        "subscription": _subscription(state),
        "tenant": _tenant(state.tenant) if state.tenant else None,
        "provisioning": {
            "state": _PROVISIONING[state.status],
            "services": [
                {
                    "productType": service["productType"],
                    "state": _SERVICE_STATES.get(service["state"], service["state"]),
                }
                for service in state.services
            ],
        },
        "loginUrl": login_url,
    }


def _subscription(state: OrderState) -> Answer:
    return {
        "id": str(state.subscription_id),
        "status": state.status,
        "stripeStatus": state.stripe_status,
        "planId": state.plan_code,
        "planName": state.plan_name,
        "billingCycle": state.billing_cycle,
        "currency": state.currency,
        "amount": state.amount,
        "currentPeriodEnd": _moment(state.current_period_end),
        "trialEnd": _moment(state.trial_end),
        "cancelAtPeriodEnd": state.cancel_at_period_end,
    }


def _tenant(tenant: TenantState) -> Answer:
    return {
        "id": str(tenant.id),
        "domain": tenant.domain,
        "status": tenant.status,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
