"""The payment page of an order, and how it is kept for a repeated request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mpanel_billing.checkout.repository.orders import Attempt


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """The payment page of an order."""

    url: str
    session_id: str
    subscription_id: UUID


def page_of(attempt: Attempt) -> PaymentPage | None:
    """Return the page of an attempt; None if it is not open."""
    if attempt.status != "open" or not attempt.url or not attempt.stripe_session_id:
        return None
    return PaymentPage(attempt.url, attempt.stripe_session_id, attempt.subscription_id)


def stored_page(page: PaymentPage) -> dict[str, str]:
    """Return the page as it is stored as the response for an idempotency key."""
    return {
        "url": page.url,
        "sessionId": page.session_id,
        "subscriptionId": str(page.subscription_id),
    }


def restored_page(stored: Mapping[str, Any]) -> PaymentPage:
    """Return the page that `stored_page` has made storable."""
    return PaymentPage(stored["url"], stored["sessionId"], UUID(stored["subscriptionId"]))
